//! The cached records, and the work under way on each id, so that nothing stale is cached.
//!
//! ```text
//!   fill                         write (update, remove, …)
//!   ────                         ─────
//!   begin: note the stamp ──┐    begin: new stamp ─────────────┐
//!   ask the store           │    ask the store                 │
//!   end: same stamp?        │    end: still my stamp? put what │
//!     yes: put it in  ◄─────┘      was written : drop it  ◄────┘
//!     no: forget it              and a new stamp: what began before me is stale
//! ```
//!
//! The stamp of an id lives as long as anything is under way on it. After a removal, it acts as a tombstone: it keeps
//! out every fill that began before the removal was over, so that no late fill undoes a logout.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    CacheConfig, CacheStatistics,
    flight::Flight,
    lru::{IdMap, Lru},
    sync::{Mutex, MutexGuard, lock},
};
use crate::{
    id::SessionId,
    store::{Stored, Tracked, Usage, Version},
};

/// The most shards. A small cache has fewer, so that it evicts in the order of use.
const MAX_SHARDS: usize = 16;
const SESSIONS_PER_SHARD: usize = 256;

/// The size of an entry in bytes besides its record's: node, index, the record's own fields and owner.
const ENTRY_BYTES: usize = 320;

pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    trusted: Duration,
}

struct Shard {
    cached: Lru<Cached>,
    active: IdMap<Activity>,
    last_stamp: u64,
    statistics: CacheStatistics,
}

struct Cached {
    stored: Stored,
    /// When the store was asked. The state was current then or later.
    asked_at: SystemTime,
}

/// The work under way on one id.
struct Activity {
    workers: usize,
    stamp: u64,
    flight: Option<Arc<Flight>>,
}

/// The result of looking up an id.
pub(super) enum Found {
    /// It may be served as it is.
    Trusted(Stored),
    /// It may be served if the store says that it is still current.
    Held(Stored),
    Nothing,
}

/// The effect of a fill or a write on the cached entry.
pub(super) enum Change {
    Put(Stored),
    /// This version is still current. The [`Tracked`] replaces the cached one; it is `None` if the store doesn't track.
    Confirm(Version, Usage, Option<Tracked>),
    /// The last use and the expiry moved. This says nothing about the record, so the entry does not become fresher.
    Use(Usage),
    Drop,
}

impl Table {
    pub(super) fn new(settings: &CacheConfig) -> Self {
        let shards = (settings.capacity / SESSIONS_PER_SHARD).clamp(1, MAX_SHARDS);
        let shards = if shards.is_power_of_two() { shards } else { shards.next_power_of_two() / 2 };
        let shard = |_| {
            Mutex::new(Shard {
                cached: Lru::new(settings.capacity / shards, settings.max_bytes / shards),
                active: IdMap::default(),
                last_stamp: 0,
                statistics: CacheStatistics::default(),
            })
        };
        Self { shards: (0..shards).map(shard).collect(), trusted: settings.trusted }
    }

    fn shard(&self, id: &SessionId) -> MutexGuard<'_, Shard> {
        // Any byte works: ids are SHA-256 output, and the index in the shard hashes them with a seed.
        lock(&self.shards[usize::from(id.as_bytes()[15]) & (self.shards.len() - 1)])
    }

    pub(super) fn find(&self, id: &SessionId, now: SystemTime) -> Found {
        let mut shard = self.shard(id);
        let Some(cached) = shard.cached.get(id) else { return Found::Nothing };
        if cached.stored.is_expired(now) {
            // Another process may have touched it: only the store can tell.
            shard.cached.remove(id);
            return Found::Nothing;
        }
        let stored = cached.stored.clone();
        // If the clock was set back, nothing is trusted.
        let is_trusted = now.duration_since(cached.asked_at).is_ok_and(|age| age < self.trusted);
        if is_trusted || stored.tracked.as_ref().is_some_and(Tracked::is_current) {
            shard.statistics.hits += 1;
            return Found::Trusted(stored);
        }
        Found::Held(stored)
    }

    /// Whether a cached record may be served without asking the store.
    pub(super) fn trusts(&self) -> bool {
        !self.trusted.is_zero()
    }

    pub(super) fn fill<'a>(&'a self, id: &'a SessionId, now: SystemTime) -> Fill<'a> {
        let stamp = self.shard(id).enter(id).stamp;
        Fill(Worker { table: self, id, stamp, asked_at: now })
    }

    pub(super) fn write<'a>(&'a self, id: &'a SessionId, now: SystemTime) -> Write<'a> {
        let mut shard = self.shard(id);
        let stamp = shard.next_stamp();
        shard.enter(id).stamp = stamp;
        Write { worker: Worker { table: self, id, stamp, asked_at: now }, change: Change::Drop, evicted: None }
    }

    /// Joins the flight of the other loads that miss this id, or begins one. If nothing is trusted, a flight whose call
    /// has begun is too old: it may have read the store before this load began.
    pub(super) fn join<'a>(&'a self, id: &'a SessionId) -> Joined<'a> {
        let too_old = !self.trusts();
        let mut shard = self.shard(id);
        shard.statistics.misses += 1;
        let activity = shard.enter(id);
        let flight = match &activity.flight {
            Some(flight) if !(too_old && flight.has_begun()) => Arc::clone(flight),
            before => {
                let flight = Arc::new(Flight::after(before.as_deref()));
                activity.flight = Some(Arc::clone(&flight));
                flight
            }
        };
        Joined { worker: Worker { table: self, id, stamp: activity.stamp, asked_at: SystemTime::UNIX_EPOCH }, flight }
    }

    /// Drops all entries, and keeps out every fill and write that is under way.
    pub(super) fn drop_all(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let shard = &mut *shard;
            shard.cached.clear();
            for activity in shard.active.values_mut() {
                shard.last_stamp += 1;
                activity.stamp = shard.last_stamp;
                activity.flight = None;
            }
        }
    }

    pub(super) fn count(&self, id: &SessionId, count: impl FnOnce(&mut CacheStatistics)) {
        count(&mut self.shard(id).statistics);
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        let mut sum = CacheStatistics::default();
        for shard in &self.shards {
            let shard = lock(shard);
            sum += CacheStatistics { sessions: shard.cached.len(), bytes: shard.cached.bytes(), ..shard.statistics };
        }
        sum
    }

    /// The number of ids with work under way.
    #[cfg(test)]
    pub(super) fn active(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).active.len()).sum()
    }
}

impl Shard {
    fn enter(&mut self, id: &SessionId) -> &mut Activity {
        let activity = self.active.entry(*id).or_insert(Activity { workers: 0, stamp: 0, flight: None });
        activity.workers += 1;
        activity
    }

    fn leave(&mut self, id: &SessionId) {
        if let Some(activity) = self.active.get_mut(id) {
            activity.workers -= 1;
            if activity.workers == 0 {
                self.active.remove(id);
            }
        }
    }

    fn next_stamp(&mut self) -> u64 {
        self.last_stamp += 1;
        self.last_stamp
    }

    fn is_at(&self, id: &SessionId, stamp: u64) -> bool {
        self.active.get(id).is_some_and(|activity| activity.stamp == stamp)
    }

    /// Applies a change. Returns how many entries were evicted.
    fn apply(&mut self, id: &SessionId, change: Change, asked_at: SystemTime) -> u64 {
        match change {
            Change::Put(stored) => {
                let bytes = ENTRY_BYTES + stored.record.encoded_len();
                let evicted = self.cached.insert(*id, Cached { stored, asked_at }, bytes);
                self.statistics.fills += 1;
                self.statistics.evictions += evicted;
                return evicted;
            }
            Change::Confirm(version, usage, tracked) => {
                if let Some(cached) = self.cached.peek(id).filter(|cached| cached.stored.version == version) {
                    cached.stored = used(&cached.stored, usage).with_tracked(tracked);
                    cached.asked_at = asked_at;
                }
            }
            Change::Use(usage) => {
                if let Some(cached) = self.cached.peek(id) {
                    // As in the store, a touch makes neither of them earlier.
                    let Usage { used_at, expires_at } = cached.stored.usage();
                    let later =
                        Usage { used_at: usage.used_at.max(used_at), expires_at: usage.expires_at.max(expires_at) };
                    cached.stored = used(&cached.stored, later);
                }
            }
            Change::Drop => drop(self.cached.remove(id)),
        }
        0
    }
}

pub(super) fn used(stored: &Stored, usage: Usage) -> Stored {
    Stored::new(Arc::clone(&stored.record), stored.version, usage)
}

/// One operation under way on an id.
struct Worker<'a> {
    table: &'a Table,
    id: &'a SessionId,
    stamp: u64,
    asked_at: SystemTime,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.table.shard(self.id).leave(self.id);
    }
}

/// A read of the store whose answer may be cached. If it is dropped before its end, it changes nothing.
pub(super) struct Fill<'a>(Worker<'a>);

impl Fill<'_> {
    /// Caches the answer, unless a write began or ended meanwhile. Returns how many entries were evicted.
    pub(super) fn end(self, change: Change) -> u64 {
        let Worker { table, id, stamp, asked_at } = self.0;
        let mut shard = table.shard(id);
        // If the entry comes from a fill or a write that began later, its state may be newer than this one.
        let is_late = shard.cached.peek(id).is_some_and(|cached| cached.asked_at > asked_at);
        if shard.is_at(id, stamp) && !is_late { shard.apply(id, change, asked_at) } else { 0 }
    }
}

/// A write to the store. However it ends, even if it is dropped, nothing older stays in the cache.
pub(super) struct Write<'a> {
    worker: Worker<'a>,
    change: Change,
    evicted: Option<u64>,
}

impl Write<'_> {
    /// Caches the record that was written. If another write overlapped with this one, drops the entry instead, since
    /// only the store can tell which of them came last. Returns how many entries were evicted.
    pub(super) fn end(mut self, change: Change) -> u64 {
        self.change = change;
        self.finish()
    }

    fn finish(&mut self) -> u64 {
        if let Some(evicted) = self.evicted {
            return evicted;
        }
        let Worker { table, id, stamp, asked_at } = self.worker;
        let mut shard = table.shard(id);
        let change = std::mem::replace(&mut self.change, Change::Drop);
        let change = if shard.is_at(id, stamp) { change } else { Change::Drop };
        let evicted = shard.apply(id, change, asked_at);
        let stamp = shard.next_stamp();
        if let Some(activity) = shard.active.get_mut(id) {
            activity.stamp = stamp;
            activity.flight = None;
        }
        self.evicted = Some(evicted);
        evicted
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A load that waits for a flight.
pub(super) struct Joined<'a> {
    worker: Worker<'a>,
    pub(super) flight: Arc<Flight>,
}

impl Joined<'_> {
    /// Ends the flight: later loads need another one.
    pub(super) fn landed(self) {
        let mut shard = self.worker.table.shard(self.worker.id);
        if let Some(activity) = shard.active.get_mut(self.worker.id)
            && activity.flight.as_ref().is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
        {
            activity.flight = None;
        }
    }
}
