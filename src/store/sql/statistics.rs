//! Counts a store's requests to the database.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts a store's requests since it was opened in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SqlStatistics {
    /// Requests to the database, each one round trip: one statement, or several in one transaction.
    pub requests: u64,
    /// Retries of requests that the database refused because of another transaction (a deadlock or a serialization
    /// failure). A refused request has changed nothing.
    pub repeated: u64,
    /// Requests that failed: refused (for another reason, or after all retries), not sent, or not answered.
    pub failed: u64,
    /// Writes that were not answered and whose row was then read back.
    pub read_back: u64,
    /// SQLite: committed transactions with writes. Each commits the writes that were waiting for it, at most 256.
    pub commits: u64,
    /// SQLite: the writes in these transactions.
    pub committed_writes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: Counter,
    pub(super) repeated: Counter,
    pub(super) failed: Counter,
    pub(super) read_back: Counter,
    pub(super) commits: Counter,
    pub(super) committed_writes: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn get(&self) -> SqlStatistics {
        SqlStatistics {
            requests: self.requests.get(),
            repeated: self.repeated.get(),
            failed: self.failed.get(),
            read_back: self.read_back.get(),
            commits: self.commits.get(),
            committed_writes: self.committed_writes.get(),
        }
    }
}
