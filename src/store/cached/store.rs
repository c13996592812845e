//! The caching wrapper.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{
    CacheConfig, CacheStatistics,
    table::{Change, Found, Table, used},
};
use crate::{
    clock::Clock,
    events::{EventKind, Observers},
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, OwnerEpoch,
        Owners, Page, Refresh, Rename, SessionStore, StoreError, Stored, Swept, Touch, Update, Usage, Version,
        required,
    },
};

/// The target of this module's events.
const TARGET: &str = "session_layer::store::cached";

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
#[derive(Clone)]
pub struct CachedStore<S> {
    inner: S,
    /// `None` if the cache is bypassed.
    pub(super) cache: Option<Arc<Cache>>,
}

pub(super) struct Cache {
    pub(super) table: Table,
    clock: Clock,
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
    async fn write<T>(
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

    /// Runs a write of many ids, after which the cache is emptied, even if the write fails or is dropped.
    async fn write_all<T>(&self, call: impl Future<Output = T>) -> T {
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
    async fn validate(
        &self,
        store: &impl SessionStore,
        id: &SessionId,
        held: Stored,
    ) -> Result<Option<Stored>, StoreError> {
        let fill = self.table.fill(id, self.clock.now());
        let (answer, change) = match store.refresh(id, &held).await? {
            Refresh::Same { usage, owner_epoch } => {
                self.report_hit(id, true);
                self.table.count(id, |statistics| statistics.hits += 1);
                (Some(used(&held, usage).with_owner_epoch(owner_epoch)), Change::Confirm(held.version, usage))
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
    async fn fetch(&self, store: &impl SessionStore, id: &SessionId) -> Result<Option<Stored>, StoreError> {
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

    fn report_hit(&self, id: &SessionId, validated: bool) {
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

impl<S: SessionStore> SessionStore for CachedStore<S> {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let Some(cache) = &self.cache else { return self.inner.load(id).await };
        let answer = match cache.table.find(id, cache.clock.now()) {
            Found::Trusted(stored) => {
                cache.report_hit(id, false);
                return Ok(Some(stored));
            }
            Found::Held(stored) => cache.validate(&self.inner, id, stored).await,
            Found::Nothing => cache.fetch(&self.inner, id).await,
        };
        answer.inspect_err(|error| {
            tracing::warn!(target: TARGET, %id, %error, "load failed");
            cache.table.count(id, |statistics| statistics.errors += 1);
        })
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let written = |outcome: &Create| match outcome {
            Create::Created(version) => Change::Put(Stored::new(Arc::clone(record), *version, usage)),
            Create::Exists => Change::Drop,
        };
        self.write(id, self.inner.create(id, record, usage), written).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let written = |outcome: &Update| match outcome {
            Update::Updated(version) => Change::Put(Stored::new(Arc::clone(record), *version, usage)),
            Update::Conflict(_) | Update::Gone => Change::Drop,
        };
        self.write(id, self.inner.update(id, record, expected, usage), written).await
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let touched = |outcome: &Touch| match outcome {
            Touch::Touched => Change::Use(usage),
            Touch::Gone => Change::Drop,
        };
        self.write(id, self.inner.touch(id, usage), touched).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.write(id, self.inner.remove(id), |_| Change::Drop).await
    }

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        self.write(id, self.inner.end(id, expected, now), |_| Change::Drop).await
    }

    async fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let written = |outcome: &Rename| match outcome {
            Rename::Renamed(version) => Change::Put(Stored::new(Arc::clone(record), *version, usage)),
            Rename::Conflict(_) | Rename::Gone | Rename::Exists => Change::Drop,
        };
        let renamed = self.write(to, self.inner.rename(from, expected, tombstone, to, record, usage), written);
        self.write(from, renamed, |_| Change::Drop).await
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        // The caller holds a record, so it is another cache in front of this one. It needs the store's answer, not this
        // cache's.
        self.inner.refresh(id, held).await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        self.inner.owner_epoch(owner).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        // The epoch may be a record that was loaded, and cached, under its id.
        let id = SessionId::for_epoch(owner);
        self.write(&id, self.inner.ensure_epoch(owner, usage), |_| Change::Drop).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::for_epoch(owner);
        self.write(&id, self.inner.renew_epoch(owner, usage), |()| Change::Drop).await
    }

    fn in_memory(&self) -> bool {
        self.inner.in_memory()
    }

    fn overwrites(&self) -> bool {
        self.inner.overwrites()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    required::own_capabilities!(inner);

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.inner.metadata(id).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.write_all(self.inner.close()).await
    }
}

#[async_trait]
impl<S: SessionStore> Listing for CachedStore<S> {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        required::listing(&self.inner, "ids")?.ids(from, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        required::listing(&self.inner, "count")?.count().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        required::listing(&self.inner, "sweep")?.sweep().await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.write_all(required::listing(&self.inner, "delete_idle")?.delete_idle(idle)).await
    }
}

#[async_trait]
impl<S: SessionStore> Clearing for CachedStore<S> {
    async fn clear(&self) -> Result<u64, StoreError> {
        self.write_all(required::clearing(&self.inner, "clear")?.clear()).await
    }
}

#[async_trait]
impl<S: SessionStore> Owners for CachedStore<S> {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        required::owners(&self.inner, "list_owner")?.list_owner(owner).await
    }
}

#[async_trait]
impl<S: SessionStore> Leases for CachedStore<S> {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        // Acquiring a lease gives the record a new version.
        self.write(id, required::leases(&self.inner, "acquire")?.acquire(id, holder, time), |_| Change::Drop).await
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        self.write(id, required::leases(&self.inner, "release")?.release(id, holder), |_| Change::Drop).await
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        if let Some(leases) = self.inner.leases() {
            leases.released(id, at_most).await;
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
