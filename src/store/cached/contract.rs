//! Implements the store contract for the caching wrapper. `capabilities` has the optional part.

use std::{sync::Arc, time::SystemTime};

use super::{
    store::{CachedStore, TARGET},
    table::{Change, Found},
};
use crate::{
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Create, End, Metadata, Refresh, Rename, SessionStore, StoreError, Stored, Touch, Tracked, Update, Usage,
        Version, own_capabilities,
    },
};

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
            Create::Created(version) => self.written(id, record, version, usage),
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
            Update::Updated(version) => self.written(id, record, version, usage),
            Update::Conflict(_) | Update::Gone => Change::Drop,
        };
        self.write(id, self.inner.update(id, record, expected, usage), written).await
    }

    // With a cache, a write has to keep it coherent, and a load may have to join another's: none is answered at once.
    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        if self.cache.is_some() { None } else { self.inner.try_load(id) }
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        if self.cache.is_some() { None } else { self.inner.try_create(id, record, usage) }
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        if self.cache.is_some() { None } else { self.inner.try_update(id, record, expected, usage) }
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
            Rename::Renamed(version) => self.written(to, record, version, usage),
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

    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        self.inner.tracked(id, version)
    }

    fn answers_at_once(&self) -> bool {
        self.cache.is_none() && self.inner.answers_at_once()
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

    own_capabilities!(inner);

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
