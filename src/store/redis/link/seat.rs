//! A place for one connection, and whether its requests make progress.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime, time::Instant};

use super::{
    connection::{Lane, Live},
    error::Cause,
};
use crate::store::backoff::Backoff;

/// The pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection counts as held up if requests are in progress and nothing has been answered for this long, in
/// microseconds. The cause may be a large value, or a slow script or command.
const HELD_UP_MICROS: u64 = 2_000;

/// A place for one connection.
pub(super) struct Seat {
    pub(super) runtime: runtime::Id,
    pub(super) lane: Lane,
    pub(super) live: Mutex<Option<Live>>,
    pub(super) progress: Progress,
    /// Locked while connecting.
    pub(super) attempts: tokio::sync::Mutex<Attempts>,
}

/// The requests in progress on a connection, and whether any of them advance. Only choosing a connection needs the
/// time, and it gets it from the request's deadline, so no extra clock is read.
#[derive(Default)]
pub(super) struct Progress {
    under_way: AtomicUsize,
    /// The number of answers, and of requests that began on an idle connection.
    moves: AtomicU64,
    /// The number of moves at the last check, and since when it has been the same: in microseconds since the server was
    /// created.
    seen: AtomicU64,
    since: AtomicU64,
}

/// A request in progress. If it is dropped, its answer may still arrive, but nobody waits for it.
pub(super) struct UnderWay<'a>(&'a Progress);

impl Progress {
    pub(super) fn begin(&self) -> UnderWay<'_> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) == 0 {
            self.answered();
        }
        UnderWay(self)
    }

    pub(super) fn answered(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether requests are in progress but nothing has moved for a while. Concurrent checks race, which costs
    /// at most an unneeded connection.
    pub(super) fn is_held_up(&self, micros: u64) -> bool {
        let moves = self.moves.load(Ordering::Relaxed);
        if self.seen.swap(moves, Ordering::Relaxed) != moves {
            self.since.store(micros, Ordering::Relaxed);
            return false;
        }
        let still = micros.saturating_sub(self.since.load(Ordering::Relaxed));
        still > HELD_UP_MICROS && self.under_way.load(Ordering::Relaxed) > 0
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The attempts to connect that have failed since the last successful one.
pub(super) struct Attempts {
    pub(super) backoff: Backoff,
    /// The last failure, and until when further attempts fail with it at once.
    pub(super) failed: Option<(Cause, Instant)>,
}

impl Seat {
    /// Creates a place without a connection.
    pub(super) fn new(runtime: runtime::Id, lane: Lane) -> Self {
        let attempts = Attempts { backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), failed: None };
        let attempts = tokio::sync::Mutex::new(attempts);
        Self { runtime, lane, live: Mutex::default(), progress: Progress::default(), attempts }
    }

    pub(super) fn current(&self) -> Option<Live> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.clone().filter(|live| !live.state.is_lost.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_held_up_when_requests_are_under_way_and_nothing_goes_on() {
        let progress = Progress::default();
        assert!(!progress.is_held_up(1_000_000), "nothing is under way");
        let first = progress.begin();
        assert!(!progress.is_held_up(2_000_000), "it has just begun");
        let second = progress.begin();
        assert!(!progress.is_held_up(2_002_000));
        assert!(progress.is_held_up(2_002_001), "the first still waits");
        progress.answered();
        drop(first);
        assert!(!progress.is_held_up(3_000_000), "there was an answer");
        assert!(progress.is_held_up(3_002_001));
        drop(second);
        assert!(!progress.is_held_up(3_002_001), "nothing is under way");
    }
}
