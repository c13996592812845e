//! The statistics of the cache.

/// The statistics of a [`CachedStore`](crate::CachedStore) since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Loads that were answered from the cache, whether validated with the store or trusted.
    pub hits: u64,
    /// Loads that needed the record from the store, since it was not cached or had changed there.
    pub misses: u64,
    /// Records that were put into the cache, after a read or a write.
    pub fills: u64,
    /// Records that were evicted to make room.
    pub evictions: u64,
    /// Loads that failed with an error of the store.
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
