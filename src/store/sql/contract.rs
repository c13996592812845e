//! Implements the store contract.

use std::{sync::Arc, time::SystemTime};

use super::{error::SqlStoreError, events::TARGET, store::SqlStore};
use crate::{
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, SessionStore, StoreError, Stored,
        Touch, Update, Usage, Version,
    },
};

impl SessionStore for SqlStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let loaded = self.load_row(id).await.map_err(|error| self.failed("load", Some(id), error))?;
        tracing::trace!(target: TARGET, %id, found = loaded.is_some(), "load");
        Ok(loaded)
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let created = self.create_row(id, record, usage).await;
        let outcome = created.map_err(|error| self.failed("create", Some(id), error))?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: TARGET, %id, "not created: the id is taken"),
        }
        Ok(outcome)
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let updated = self.update_row(id, record, expected, usage).await;
        let outcome = updated.map_err(|error| self.failed("update", Some(id), error))?;
        match outcome {
            Update::Updated(_) => tracing::debug!(target: TARGET, %id, "updated"),
            Update::Conflict(_) => tracing::info!(target: TARGET, %id, "not updated: another version is stored"),
            Update::Gone => tracing::info!(target: TARGET, %id, "not updated: the session is gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let outcome = self.touch_row(id, usage).await.map_err(|error| self.failed("touch", Some(id), error))?;
        tracing::debug!(target: TARGET, %id, ?outcome, "touch");
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let removed = self.remove_row(id).await.map_err(|error| self.failed("remove", Some(id), error))?;
        self.inner.released.ring(id);
        tracing::debug!(target: TARGET, %id, removed, "remove");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let outcome = self.end_row(id, expected).await.map_err(|error| self.failed("end", Some(id), error))?;
        match outcome {
            End::Ended => {
                self.inner.released.ring(id);
                tracing::debug!(target: TARGET, %id, "ended");
            }
            End::Conflict(_) => tracing::info!(target: TARGET, %id, "not ended: another version is stored"),
            End::Gone => tracing::info!(target: TARGET, %id, "not ended: the session is gone"),
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
        let renamed = self.rename_row((from, to), expected, (tombstone, record), usage).await;
        let outcome = renamed.map_err(|error| self.failed("rename", Some(from), error))?;
        match outcome {
            Rename::Renamed(_) => {
                self.inner.released.ring(from);
                tracing::debug!(target: TARGET, id = %from, %to, "renamed");
            }
            Rename::Conflict(_) | Rename::Gone | Rename::Exists => {
                tracing::info!(target: TARGET, id = %from, %to, ?outcome, "not renamed");
            }
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let outcome = self.refresh_row(id, held).await.map_err(|error| self.failed("refresh", Some(id), error))?;
        tracing::trace!(target: TARGET, %id, same = matches!(outcome, Refresh::Same { .. }), "refresh");
        Ok(outcome)
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        let id = SessionId::for_epoch(owner);
        self.keep_epoch(owner, usage).await.map_err(|error| self.failed("ensure_epoch", Some(&id), error))
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::for_epoch(owner);
        self.change_epoch(owner, usage).await.map_err(|error| self.failed("renew_epoch", Some(&id), error))?;
        tracing::debug!(target: TARGET, %id, "epoch renewed");
        Ok(())
    }

    /// True only for an in-memory SQLite database.
    fn in_memory(&self) -> bool {
        self.inner.engine.in_memory()
    }

    /// `postgres`, `mysql` or `sqlite`.
    fn name(&self) -> &'static str {
        self.statements().dialect.store
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
        self.metadata_of(id).await.map_err(|error| self.failed("metadata", Some(id), error))
    }

    /// SQLite: copies the committed writes from the log into the file and syncs it. The other databases sync their
    /// commits according to their own settings.
    async fn flush(&self) -> Result<(), StoreError> {
        let flushed = self.engine().flush().await.map_err(SqlStoreError::of_read);
        flushed.map_err(|error| self.failed("flush", None, error))
    }

    /// Stops the sweeping task, waits for running requests, and closes the file or pool that the store opened. A pool
    /// that was passed to it stays open.
    async fn close(&self) -> Result<(), StoreError> {
        self.stop_tasks();
        let closed = self.inner.engine.close().await.map_err(SqlStoreError::of_read);
        closed.map_err(|error| self.failed("close", None, error))?;
        tracing::debug!(target: TARGET, "closed");
        Ok(())
    }
}
