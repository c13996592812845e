//! The turns of the writers of one shard in this process.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// The first and the longest pause before another process's lock is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// The writers of one shard in this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    pub(super) taken: bool,
    /// How many writers wait.
    pub(super) line: u32,
    /// Another process had the lock. No writer tries it again before this time.
    not_before: Option<Instant>,
    pause: Duration,
}

impl Turn {
    /// Whether a writer may begin now. With `behind`, it may not begin before the writers that already wait.
    pub(super) fn is_open(&self, behind: bool) -> bool {
        let is_early = self.not_before.is_some_and(|not_before| Instant::now() < not_before);
        !(self.taken || is_early || (behind && self.line > 0))
    }

    /// When to look again if nothing wakes the writer: at `at_last`, or earlier if the lock is tried again earlier.
    pub(super) fn look_again(&self, at_last: Instant) -> Instant {
        self.not_before.filter(|_| !self.taken).map_or(at_last, |not_before| not_before.min(at_last))
    }

    /// Notes that another process has the lock. The pause before the next try doubles.
    pub(super) fn busy(&mut self) {
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.not_before = Some(clock::deadline(self.pause));
    }

    /// Notes that this process has got the lock.
    pub(super) fn got(&mut self) {
        (self.pause, self.not_before) = (Duration::ZERO, None);
    }
}
