//! Implements the store contract for the encrypting wrapper. `capabilities` has the optional part.

use std::{sync::Arc, time::SystemTime};

use super::store::EncryptedStore;
use crate::{
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Create, End, Metadata, OwnerEpoch, Refresh, Rename, SessionStore, StoreError, Stored, Touch, Tracked, Update,
        Usage, Version, own_capabilities,
    },
};

impl<S: SessionStore> SessionStore for EncryptedStore<S> {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        match self.inner.load(id).await? {
            None => Ok(None),
            Some(stored) => self.open(id, stored, "load").await.map(Some),
        }
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.inner.create(id, &self.seal(id, record, "create")?, usage).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        Ok(match self.inner.update(id, &self.seal(id, record, "update")?, expected, usage).await? {
            Update::Conflict(stored) => Update::Conflict(self.open_newer(id, stored, "update").await),
            outcome => outcome,
        })
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        match self.inner.try_load(id)? {
            Ok(Some(stored)) => self.open_at_once(id, stored, "load").map(|opened| opened.map(Some)),
            Ok(None) => Some(Ok(None)),
            Err(error) => Some(Err(error)),
        }
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        if !self.inner.answers_at_once() {
            return None;
        }
        match self.seal(id, record, "create") {
            Ok(sealed) => self.inner.try_create(id, &sealed, usage),
            Err(error) => Some(Err(error)),
        }
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        if !self.inner.answers_at_once() {
            return None;
        }
        let sealed = match self.seal(id, record, "update") {
            Ok(sealed) => sealed,
            Err(error) => return Some(Err(error)),
        };
        Some(match self.inner.try_update(id, &sealed, expected, usage)? {
            Ok(Update::Conflict(stored)) => {
                let opened = stored.and_then(|stored| self.open_at_once(id, stored, "update"));
                Ok(Update::Conflict(opened.and_then(Result::ok)))
            }
            outcome => outcome,
        })
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.inner.touch(id, usage).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.inner.remove(id).await
    }

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        Ok(match self.inner.end(id, expected, now).await? {
            End::Conflict(stored) => End::Conflict(self.open_newer(id, stored, "end").await),
            outcome => outcome,
        })
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
        // The tombstone is sealed like any record and bound to the old id, so a forward that was planted in the store
        // does not open.
        let tombstone = self.seal(from, tombstone, "rename")?;
        let record = self.seal(to, record, "rename")?;
        Ok(match self.inner.rename(from, expected, &tombstone, to, &record, usage).await? {
            Rename::Conflict(stored) => Rename::Conflict(self.open_newer(from, stored, "rename").await),
            outcome => outcome,
        })
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        Ok(match self.inner.refresh(id, held).await? {
            Refresh::Same { usage, owner_epoch, tracked } => {
                let usage = Stored::new(Arc::clone(&held.record), held.version, usage).usage();
                // Under another key, the inner store has the owner under another name.
                let is_ours = self.ring.keys().nth(1).is_none();
                let owner_epoch = if is_ours { owner_epoch } else { OwnerEpoch::NotAsked };
                Refresh::Same { usage, owner_epoch, tracked }
            }
            Refresh::Changed(stored) => Refresh::Changed(self.open(id, stored, "refresh").await?),
            Refresh::Gone => Refresh::Gone,
        })
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        self.inner.owner_epoch(&self.hash(owner)).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        self.inner.ensure_epoch(&self.hash(owner), usage).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let hashes = self.hashes(owner);
        // Renews twice under every key. So the last renewal under each key comes after the first one under every other,
        // whichever of them another server writes with. `rehash_owner` relies on that.
        for hash in hashes.iter().chain(if hashes.len() > 1 { &hashes[..] } else { &[] }) {
            self.inner.renew_epoch(hash, usage).await?;
        }
        Ok(())
    }

    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        self.inner.tracked(id, version)
    }

    fn answers_at_once(&self) -> bool {
        self.inner.answers_at_once()
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
        self.inner.close().await
    }
}
