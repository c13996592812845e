//! Implements the store contract for the memory store. `capabilities` has the optional part.

use std::{sync::Arc, time::SystemTime};

use super::store::{MemoryStore, refused};
use crate::{
    id::SessionId,
    record::{Epoch, Owner, Record},
    store::{
        Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, SessionStore, StoreError,
        StoreErrorKind, Stored, Touch, Update, Usage, Version, provided,
    },
};

impl SessionStore for MemoryStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.load_at_once(id)
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.create_at_once(id, record, usage)
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        Some(self.load_at_once(id))
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        Some(self.create_at_once(id, record, usage))
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        let core = self.core();
        // With a journal, an update that changes the owner or shortens the session's life waits for it.
        let done = core.table.update_unless_noted(id, record, expected, usage, core.now(), true).transpose()?;
        Some(self.report("update", id, done).map(|(outcome, _)| logged(id, outcome)))
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let core = self.core();
        let done = core.table.update(id, record, expected, usage, core.now());
        Ok(logged(id, self.settle("update", id, done).await?))
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let core = self.core();
        let outcome = self.settle("touch", id, core.table.touch(id, usage, core.now())).await?;
        tracing::debug!(target: super::events::TARGET, %id, ?outcome, "touched");
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let core = self.core();
        let removed = self.settle("remove", id, core.table.remove(id, core.now())).await?.is_some();
        tracing::debug!(target: super::events::TARGET, %id, was_there = removed, "removed");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let core = self.core();
        let outcome = self.settle("end", id, core.table.end(id, expected, core.now())).await?;
        match outcome {
            End::Ended => tracing::debug!(target: super::events::TARGET, %id, "ended"),
            End::Conflict(_) => tracing::info!(target: super::events::TARGET, %id, "not ended: another version"),
            End::Gone => tracing::info!(target: super::events::TARGET, %id, "not ended: gone"),
        }
        Ok(outcome)
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
        let core = self.core();
        let done = core.table.rename((from, to), expected, tombstone, record, usage, core.now());
        let outcome = self.settle("rename", from, done).await?;
        match outcome {
            Rename::Renamed(_) => tracing::debug!(target: super::events::TARGET, id = %from, %to, "renamed"),
            Rename::Conflict(_) | Rename::Gone | Rename::Exists => {
                tracing::info!(target: super::events::TARGET, id = %from, %to, ?outcome, "not renamed");
            }
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        Ok(match self.load(id).await? {
            None => Refresh::Gone,
            Some(stored) if stored.version == held.version => {
                Refresh::Same { usage: stored.usage(), owner_epoch: stored.owner_epoch, tracked: None }
            }
            Some(stored) => Refresh::Changed(stored),
        })
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::for_epoch(owner);
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::new(StoreErrorKind::Other).during("renew_epoch").on(&id).because(error)
        };
        let epoch = Epoch::generate().map_err(|error| failed(error.into()))?;
        let owner = Owner::new(owner, epoch).map_err(|error| failed(error.into()))?;
        let record = Arc::new(Record::epoch(owner, usage.used_at));
        let core = self.core();
        self.settle("renew_epoch", &id, core.table.renew_epoch(&id, &record, usage, core.now())).await?;
        tracing::debug!(target: super::events::TARGET, %id, "epoch renewed");
        Ok(())
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        super::events::NAME
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let core = self.core();
        core.table.metadata(id, core.now()).map_err(|error| refused("metadata", error.on(id)))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.core().snapshot().await.map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.close_once().await
    }
}

impl MemoryStore {
    fn load_at_once(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let core = self.core();
        let now = core.now();
        let loaded = core.table.load(id, now).map_err(|error| refused("load", error.on(id)))?;
        tracing::trace!(target: super::events::TARGET, %id, found = loaded.is_some(), "loaded");
        let Some(stored) = loaded else { return Ok(None) };
        let Some(owner) = stored.record.owner().filter(|_| stored.record.is_session()) else { return Ok(Some(stored)) };
        // The epoch is read after the record (L6).
        let epoch =
            core.table.load(&SessionId::for_epoch(owner.name()), now).map_err(|error| refused("load", error.on(id)))?;
        let epoch = epoch.and_then(|epoch| provided::epoch_in(&epoch, owner.name()));
        Ok(Some(stored.with_owner_epoch(epoch)))
    }

    /// A create needs no line in the journal, so it never waits.
    fn create_at_once(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let core = self.core();
        let (outcome, _) = self.report("create", id, core.table.create(id, record, usage, core.now()))?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: super::events::TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: super::events::TARGET, %id, "not created: the id is taken"),
        }
        Ok(outcome)
    }
}

/// Logs the outcome of an update.
fn logged(id: &SessionId, outcome: Update) -> Update {
    match outcome {
        Update::Updated(_) => tracing::debug!(target: super::events::TARGET, %id, "updated"),
        Update::Conflict(_) => tracing::info!(target: super::events::TARGET, %id, "not updated: another version"),
        Update::Gone => tracing::info!(target: super::events::TARGET, %id, "not updated: gone"),
    }
    outcome
}
