//! How much is cached, and how fresh it is.

use std::time::Duration;

use crate::{
    Clock,
    events::{Observer, Observers},
};

/// How much a [`CachedStore`](crate::CachedStore) keeps, and when it asks the store whether that is still right.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub(super) capacity: usize,
    pub(super) max_bytes: usize,
    pub(super) trusted: Duration,
    pub(super) clock: Clock,
    pub(super) observers: Observers,
}

impl CacheConfig {
    /// 4,096 sessions, 16 MiB, always validated.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            capacity: 4_096,
            max_bytes: 16 * 1024 * 1024,
            trusted: Duration::ZERO,
            clock: Clock::system(),
            observers: Observers::NONE,
        }
    }

    /// The most sessions that are kept. 0 keeps none: every call goes to the store. Default: 4,096.
    #[must_use]
    pub const fn capacity(mut self, sessions: usize) -> Self {
        self.capacity = sessions;
        self
    }

    /// The most bytes that are kept, of records and of what the cache needs for them. A session that is larger than its
    /// share (a sixteenth in a large cache) is not cached. Default: 16 MiB.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Serves a session for this long without asking the store. Default: zero, which asks at every load.
    ///
    /// **What this gives up:** when *another server* changes, renews or destroys a session, this one may serve the old
    /// state until the time is over, so a logout there is final here only then. Such a stale session can be read, and
    /// nothing else: writing it is a conflict, which is merged with the present state or refused, so it is never brought
    /// back. What *this* server does is seen by it at once, and revoking all sessions of an owner is seen by every
    /// server at once: epochs are not cached. A write whose future was dropped, and which the store carries out only later
    /// (a file on its way to the disk, a command on its way to memcached), counts as made by another server.
    #[must_use]
    pub const fn trusted(mut self, time: Duration) -> Self {
        self.trusted = time;
        self
    }

    /// Tells the time by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells an observer of hits, misses, and what is dropped to make room. Called again, it adds one. Default: nobody
    /// is told.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self::new()
    }
}
