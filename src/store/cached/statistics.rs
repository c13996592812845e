//! What the cache has done so far.

/// What a [`CachedStore`](crate::CachedStore) has done so far, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Loads that were answered from the cache, with or without asking the store whether it is still right.
    pub hits: u64,
    /// Loads that needed the record from the store: it was not cached, or had been changed elsewhere.
    pub misses: u64,
    /// Records that were taken into the cache, read or written.
    pub fills: u64,
    /// Records that were dropped to make room.
    pub evictions: u64,
    /// Loads that the store answered with an error.
    pub errors: u64,
    /// Sessions in the cache now.
    pub sessions: usize,
    /// Bytes in the cache now.
    pub bytes: usize,
}

impl std::ops::AddAssign for CacheStatistics {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.fills += other.fills;
        self.evictions += other.evictions;
        self.errors += other.errors;
        self.sessions += other.sessions;
        self.bytes += other.bytes;
    }
}
