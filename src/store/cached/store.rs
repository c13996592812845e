//! The caching wrapper, and how its calls use the cache.

use std::{fmt, sync::Arc};

use super::{
    CacheConfig, CacheStatistics,
    table::{Change, Table, used},
};
use crate::{
    clock::Clock,
    events::{EventKind, Observers},
    id::SessionId,
    record::Record,
    store::{OwnerEpoch, Refresh, SessionStore, StoreError, Stored, Usage, Version},
};

/// The target of this module's events.
pub(super) const TARGET: &str = "session_layer::store::cached";

/// Wraps a store in a write-through cache. Clones share one cache.
///
/// By default, every load is validated with the store; see [`CacheConfig::trusted`] for a less fresh cache that saves
/// round trips. The cache is bypassed if the store keeps its records in memory.
///
/// ```
/// # fn over(store: impl session_layer::SessionStore) {
/// use session_layer::CachedStore;
///
/// let store = CachedStore::new(store); // 4,096 sessions, always validated
/// # }
/// ```
///
/// # Freshness
///
/// By default, every load asks the store whether the cached record is still current
/// ([`refresh`](crate::SessionStore::refresh)). So a session is as fresh as without the cache: a change, a logout or an
/// expiry in another process is visible to the next load. The cache saves the transfer of the record, and opening it if
/// it is sealed, but not the round trip. [`CacheConfig::trusted`] saves the round trip, too; its documentation says
/// what that gives up.
///
/// If the store tracks what it loads ([`Stored::tracked`]; for example a [`RedisStore`](crate::RedisStore) with the
/// setting `tracking`), a cached session is served without a call to the store until the store learns that it may have
/// changed. So is a session that this process has written, if the store tracks its writes
/// ([`SessionStore::tracked`](crate::SessionStore::tracked)). The store documents how soon it learns of a change. A
/// write is compared with the stored version in any case, so nothing is lost or brought back in the meantime.
///
/// An owner's epoch is never cached here. Whether sessions are trusted or not, revoking all sessions of an owner is
/// visible as soon as the store itself sees it.
///
/// # Coherence
///
/// A write goes to the store first, and into the cache only after the store has answered. If two writes of one id
/// overlap, the cache keeps neither. A write that is dropped or fails removes its id from the cache. What was read
/// before a write of the same id was over is not cached after it, so a late fill does not bring a removed session back.
/// `clear`, `delete_idle` and `close` empty the cache. `sweep` need not, since no entry is served past its expiry.
///
/// Concurrent loads that miss the same id share one call to the store. If the load that makes the call is dropped, the
/// next waiting load makes it. If every load is validated, a load never gets an answer that was read before it began: a
/// load that arrives while a call is under way shares the next call with all others that do. If the cache is trusted
/// for a time, it shares the call that is under way.
///
/// The cache is bypassed if the store, or a store that it wraps, keeps its records in this process's memory.
///
/// # Events
///
/// Target `session_layer::store::cached`; the inner store reports its own.
///
/// | level | event | fields |
/// |---|---|---|
/// | trace | `hit` | `id`, `validated` |
/// | trace | `miss` | `id` |
/// | info | `evicted` | `sessions` |
/// | warn | `load failed` | `id`, `error` |
#[derive(Clone)]
pub struct CachedStore<S> {
    pub(super) inner: S,
    /// `None` if the cache is bypassed.
    pub(super) cache: Option<Arc<Cache>>,
}

pub(super) struct Cache {
    pub(super) table: Table,
    pub(super) clock: Clock,
    observers: Observers,
}

impl<S: SessionStore> CachedStore<S> {
    /// Creates a cache of 4,096 sessions and 16 MiB that validates every load.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self::with_config(inner, CacheConfig::new())
    }

    /// Creates a cache with these settings.
    #[must_use]
    pub fn with_config(inner: S, settings: CacheConfig) -> Self {
        let aside = inner.in_memory() || settings.capacity == 0;
        let cache = || {
            let observers = settings.observers.clone().of(inner.name());
            Arc::new(Cache { table: Table::new(&settings), clock: settings.clock.clone(), observers })
        };
        Self { cache: (!aside).then(cache), inner }
    }

    /// The store behind the cache.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the statistics of the cache. All are zero if it is bypassed.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.cache.as_ref().map(|cache| cache.table.statistics()).unwrap_or_default()
    }

    /// Runs a write of one id and caches its result. If the write is dropped, the entry is dropped.
    pub(super) async fn write<T>(
        &self,
        id: &SessionId,
        call: impl Future<Output = Result<T, StoreError>>,
        change: impl FnOnce(&T) -> Change,
    ) -> Result<T, StoreError> {
        let Some(cache) = &self.cache else { return call.await };
        let write = cache.table.write(id, cache.clock.now());
        let outcome = call.await;
        cache.report_evicted(write.end(outcome.as_ref().map_or(Change::Drop, change)));
        outcome
    }

    /// The entry of a record that the store has just written.
    pub(super) fn written(&self, id: &SessionId, record: &Arc<Record>, version: &Version, usage: Usage) -> Change {
        let stored = Stored::new(Arc::clone(record), *version, usage);
        Change::Put(stored.with_tracked(self.inner.tracked(id, version)))
    }

    /// Runs a write of many ids, after which the cache is emptied, even if the write fails or is dropped.
    pub(super) async fn write_all<T>(&self, call: impl Future<Output = T>) -> T {
        struct DropAll<'a>(Option<&'a Cache>);

        impl Drop for DropAll<'_> {
            fn drop(&mut self) {
                if let Some(cache) = self.0 {
                    cache.table.drop_all();
                }
            }
        }

        let _guard = DropAll(self.cache.as_deref());
        call.await
    }
}

impl Cache {
    /// Asks the store whether the held record is still current.
    pub(super) async fn validate(
        &self,
        store: &impl SessionStore,
        id: &SessionId,
        held: Stored,
    ) -> Result<Option<Stored>, StoreError> {
        let fill = self.table.fill(id, self.clock.now());
        let (answer, change) = match store.refresh(id, &held).await? {
            Refresh::Same { usage, owner_epoch, tracked } => {
                self.report_hit(id, true);
                self.table.count(id, |statistics| statistics.hits += 1);
                let confirmed = Change::Confirm(held.version, usage, tracked);
                (Some(used(&held, usage).with_owner_epoch(owner_epoch)), confirmed)
            }
            Refresh::Changed(stored) => {
                self.report_miss(id);
                self.table.count(id, |statistics| statistics.misses += 1);
                let kept = stored.clone().with_owner_epoch(OwnerEpoch::NotAsked);
                (Some(stored), Change::Put(kept))
            }
            Refresh::Gone => {
                self.report_miss(id);
                self.table.count(id, |statistics| statistics.misses += 1);
                (None, Change::Drop)
            }
        };
        self.report_evicted(fill.end(change));
        Ok(answer)
    }

    /// Loads from the store, in one call with all other loads that miss this id.
    pub(super) async fn fetch(&self, store: &impl SessionStore, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.report_miss(id);
        let joined = self.table.join(id);
        let answer = joined
            .flight
            .answer(async || {
                let fill = self.table.fill(id, self.clock.now());
                let answer = store.load(id).await?;
                // A load that joined this one may have begun after the owner's epoch was read, so each must read the
                // epoch itself.
                let answer = answer.map(|stored| stored.with_owner_epoch(OwnerEpoch::NotAsked));
                self.report_evicted(fill.end(answer.clone().map_or(Change::Drop, Change::Put)));
                Ok(answer)
            })
            .await;
        joined.landed();
        answer
    }

    pub(super) fn report_hit(&self, id: &SessionId, validated: bool) {
        tracing::trace!(target: TARGET, %id, validated, "hit");
        self.observers.notify(EventKind::CacheHit { id: *id, validated });
    }

    fn report_miss(&self, id: &SessionId) {
        tracing::trace!(target: TARGET, %id, "miss");
        self.observers.notify(EventKind::CacheMiss { id: *id });
    }

    fn report_evicted(&self, sessions: u64) {
        if sessions > 0 {
            tracing::info!(target: TARGET, sessions, "evicted");
            self.observers.notify(EventKind::CacheEvicted { sessions });
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("inner", &self.inner)
            .field("statistics", &self.cache.as_ref().map(|cache| cache.table.statistics()))
            .finish_non_exhaustive()
    }
}
