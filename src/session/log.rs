//! The uncommitted changes of a request, numbered in their order.

use super::changes::{Change, Logged};

/// The uncommitted changes, and which of the request's changes are stored, planned, or the handler's.
///
/// A commit works on a copy, so a failed commit has nothing to restore.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) changes: Vec<Logged>,
    /// The number of the last change or the last request for a new token.
    pub(crate) last: u64,
    /// The number of the last change that is stored.
    pub(crate) committed: u64,
    /// The number of the last change that the latest commit was to store.
    pub(crate) planned: u64,
    /// The number of the last change that the handler made before it answered. Later ones are a stream's.
    pub(crate) last_of_handler: u64,
    /// Counts changes, to detect whether a result that was computed with no lock held is still current.
    pub(crate) revision: u64,
}

impl Log {
    /// Numbers a change, or a request for a new token.
    pub(crate) fn advance(&mut self) {
        self.last += 1;
        self.revision += 1;
    }

    /// Adds a change and returns its number. If it sets the entry that the last change has set, it replaces that one.
    pub(crate) fn push(&mut self, mut change: Change) -> u64 {
        if let (Change::Set(key, _, baseline), Some(last)) = (&mut change, self.changes.last())
            && let Change::Set(before, _, first) = &last.change
            && before == key
            // A stream's change must not replace the handler's, which is in the final commit.
            && last.number > self.last_of_handler
        {
            // Keep the baseline of the first set: what the request had read before it still counts.
            *baseline = first.clone().or_else(|| baseline.take());
            self.changes.pop();
        }
        self.advance();
        self.changes.push(Logged { number: self.last, change });
        self.last
    }

    /// Returns a copy of the changes, for a commit.
    pub(crate) fn copy(&self) -> Vec<Change> {
        self.changes.iter().map(|logged| logged.change.clone()).collect()
    }

    /// Whether the log contains a closure of the application. If it runs again, it may leave other entries than now.
    pub(crate) fn has_run(&self) -> bool {
        self.changes.iter().any(|logged| logged.change.is_run())
    }

    /// Takes the changes after this number.
    pub(crate) fn split_after(&mut self, number: u64) -> Vec<Logged> {
        let later = self.changes.iter().position(|logged| logged.number > number).unwrap_or(self.changes.len());
        self.changes.split_off(later)
    }

    /// Takes the changes up to this number, which are stored now.
    pub(crate) fn take_committed(&mut self, number: u64) -> Vec<Logged> {
        let later = self.split_after(number);
        self.committed = number;
        std::mem::replace(&mut self.changes, later)
    }
}
