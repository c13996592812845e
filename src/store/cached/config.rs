//! The settings of the cache.

use std::time::Duration;

use crate::{
    Clock,
    events::{Observer, Observers},
};

/// How much a [`CachedStore`](crate::CachedStore) caches, and when it validates cached sessions with the store.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub(super) capacity: usize,
    pub(super) max_bytes: usize,
    pub(super) trusted: Duration,
    pub(super) clock: Clock,
    pub(super) observers: Observers,
}

impl CacheConfig {
    /// The default settings: 4,096 sessions, 16 MiB, every load validated.
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

    /// Sets how many sessions are cached at most. Default: 4,096. With 0, nothing is cached and every call goes to the
    /// store.
    #[must_use]
    pub const fn capacity(mut self, sessions: usize) -> Self {
        self.capacity = sessions;
        self
    }

    /// Sets how many bytes are cached at most, including what the cache needs for each record. Default: 16 MiB. A
    /// session that is larger than its share (a sixteenth in a large cache) is not cached.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Serves a cached session for this long without validating it with the store. Default: zero, which validates every
    /// load.
    ///
    /// **What this gives up:** if *another server* changes, renews or ends a session, this one may serve the old state
    /// until the time is over. A logout there takes effect here only then. Such a stale session can be read, but not
    /// written: a write is a conflict, which is merged with the current state or refused, so it never brings the
    /// session back. Changes made through *this* server are visible to it at once. Revoking all sessions of an owner is
    /// visible to every server at once, since epochs are not cached. A write whose future was dropped, and which the
    /// store carries out only later (a file on its way to the disk, a command on its way to memcached), counts as made
    /// by another server.
    #[must_use]
    pub const fn trusted(mut self, time: Duration) -> Self {
        self.trusted = time;
        self
    }

    /// Sets the clock. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds an observer of cache hits, misses and evictions. Default: no observers.
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
