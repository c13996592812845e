//! Implements the store contract: each operation, and its events.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{events::TARGET, operations::Created, store::RedisStore};
use crate::{
    id::SessionId,
    record::{Epoch, Owner, Record},
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, Owners, Page,
        Refresh, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Tracked, Update, Usage,
        Version, log_failed,
    },
};

impl RedisStore {
    /// Names operation and id in an error, and reports it.
    ///
    /// If writes wait for replicas, what the primary has settles nothing: so the caller must not read a write back.
    fn failed(&self, operation: &'static str, id: &SessionId, error: StoreError) -> StoreError {
        let is_unknown = error.kind() == StoreErrorKind::OutcomeUnknown;
        let error = match is_unknown && self.inner.link.waits_for_replicas() {
            true => error.of_kind(StoreErrorKind::NotReplicated),
            false => error,
        };
        let error = error.during(operation).on(id);
        log_failed!(TARGET, operation, &error);
        error
    }
}

/// Like [`RedisStore::failed`], for an operation without an id.
fn failed_whole(operation: &'static str, error: StoreError) -> StoreError {
    let error = error.during(operation);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    tracing::warn!(target: TARGET, operation, %error, cause, "failed");
    error
}

impl SessionStore for RedisStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let loaded = self.find(id).await.map_err(|error| self.failed("load", id, error))?;
        // This clock may be ahead of the time that the script got, and the server's clock may be slow.
        let loaded = loaded.map(|held| held.stored).filter(|stored| !stored.is_expired(self.now()));
        tracing::trace!(target: TARGET, %id, found = loaded.is_some(), "load");
        Ok(loaded)
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.check_size(record).map_err(|error| self.failed("create", id, error))?;
        match self.create_value(id, record, usage, None).await.map_err(|error| self.failed("create", id, error))? {
            Created::Done(state) => {
                tracing::debug!(target: TARGET, %id, "created");
                self.list_elsewhere(id, record).await;
                Ok(Create::Created(state.version()))
            }
            // Only a renewal passes a generation, so only a renewal gets `Cleared`.
            Created::Exists | Created::Cleared(_) => {
                tracing::info!(target: TARGET, %id, "not created: the id is taken");
                Ok(Create::Exists)
            }
        }
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.check_size(record).map_err(|error| self.failed("update", id, error))?;
        let outcome =
            self.update_value(id, record, expected, usage).await.map_err(|error| self.failed("update", id, error))?;
        match outcome {
            Update::Updated(_) => {
                tracing::debug!(target: TARGET, %id, "updated");
                self.list_elsewhere(id, record).await;
            }
            Update::Conflict(_) => tracing::info!(target: TARGET, %id, "not updated: another version is stored"),
            Update::Gone => tracing::info!(target: TARGET, %id, "not updated: the session is gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let outcome = self.touch_value(id, usage).await.map_err(|error| self.failed("touch", id, error))?;
        tracing::debug!(target: TARGET, %id, outcome = ?outcome, "touch");
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let removed = self.remove_value(id).await.map_err(|error| self.failed("remove", id, error))?;
        self.forget(id);
        self.inner.released.ring(id);
        tracing::debug!(target: TARGET, %id, removed, "remove");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let outcome = self.end_value(id, expected, None).await.map_err(|error| self.failed("end", id, error))?;
        match outcome {
            End::Ended => {
                self.forget(id);
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
        let renamed = async {
            self.check_size(record)?;
            self.check_size(tombstone)?;
            self.rename_value(from, expected, tombstone, to, record, usage).await
        };
        let outcome = renamed.await.map_err(|error| self.failed("rename", from, error))?;
        match outcome {
            Rename::Renamed(_) => {
                self.forget(from);
                self.inner.released.ring(from);
                tracing::debug!(target: TARGET, id = %from, %to, "renamed");
            }
            Rename::Conflict(_) => tracing::info!(target: TARGET, id = %from, "not renamed: another version is stored"),
            Rename::Gone => tracing::info!(target: TARGET, id = %from, "not renamed: the session is gone"),
            Rename::Exists => tracing::info!(target: TARGET, id = %from, "not renamed: the new id is taken"),
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let outcome = self.refresh_value(id, held).await.map_err(|error| self.failed("refresh", id, error))?;
        tracing::trace!(target: TARGET, %id, same = matches!(outcome, Refresh::Same { .. }), "refresh");
        Ok(outcome)
    }

    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        self.tracked_version(id, version)
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        let id = SessionId::for_epoch(owner);
        self.epoch_of(&id).await.map_err(|error| self.failed("owner_epoch", &id, error))
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        let id = SessionId::for_epoch(owner);
        // A name that is not a valid owner has no epoch.
        Owner::new(owner, Epoch::from_u64(0))
            .map_err(|error| StoreError::new(StoreErrorKind::Other).during("ensure_epoch").because(error))?;
        self.keep_epoch(&id, usage).await.map_err(|error| self.failed("ensure_epoch", &id, error))
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::for_epoch(owner);
        self.change_epoch(&id, usage).await.map_err(|error| self.failed("renew_epoch", &id, error))
    }

    fn name(&self) -> &'static str {
        "redis"
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    /// Present unless [`list_owners`](super::RedisStoreBuilder::list_owners) is off.
    fn owners(&self) -> Option<&dyn Owners> {
        self.inner.options.list_owners.then_some(self as &dyn Owners)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.metadata_of(id).await.map_err(|error| self.failed("metadata", id, error))
    }

    /// Waits until every request that was sent before is answered, including those whose callers have gone. This
    /// doesn't imply that anything is on the server's disk.
    async fn flush(&self) -> Result<(), StoreError> {
        self.inner.link.flush().await.map_err(|error| failed_whole("flush", error.of_read()))
    }

    /// Refuses new requests, waits for the replies to those in progress, and disconnects.
    async fn close(&self) -> Result<(), StoreError> {
        self.inner.link.close().await.map_err(|error| failed_whole("close", error.of_read()))?;
        tracing::debug!(target: TARGET, "closed");
        Ok(())
    }
}

#[async_trait]
impl Listing for RedisStore {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        self.page(from, limit).await.map_err(|error| failed_whole("ids", error))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.count_all().await.map_err(|error| failed_whole("count", error))
    }

    /// Counts the live sessions. The server removes expired ones itself, and these are not counted as deleted. This
    /// removes only sessions that have expired by this process's clock, but not yet by the server's.
    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.sweep_all().await.map_err(|error| failed_whole("sweep", error))
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.end_idle(idle).await.map_err(|error| failed_whole("delete_idle", error))
    }
}

#[async_trait]
impl Clearing for RedisStore {
    /// Ends every session at once, by raising the generations, and then removes what is left of them.
    async fn clear(&self) -> Result<u64, StoreError> {
        let cleared = self.clear_all().await.map_err(|error| failed_whole("clear", error))?;
        self.inner.released.ring_all();
        tracing::info!(target: TARGET, cleared, "cleared");
        Ok(cleared)
    }
}

#[async_trait]
impl Owners for RedisStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        if !self.inner.options.list_owners {
            let error = StoreError::unsupported("list_owner");
            return Err(error.because("lists of owners' sessions are off: set `list_owners` on the builder"));
        }
        let id = SessionId::for_epoch(owner);
        self.sessions_of(owner).await.map_err(|error| self.failed("list_owner", &id, error))
    }
}

#[async_trait]
impl Leases for RedisStore {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        let outcome = self.lock_value(id, holder, time).await.map_err(|error| self.failed("acquire", id, error))?;
        let acquired = matches!(outcome, Acquire::Acquired { .. });
        tracing::debug!(target: TARGET, %id, acquired, "lock");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let released = self.unlock_value(id, holder).await.map_err(|error| self.failed("release", id, error))?;
        if released {
            self.inner.released.ring(id);
        }
        tracing::debug!(target: TARGET, %id, released, "unlock");
        Ok(released)
    }

    /// Polls the lease. Returns early if it can't be read.
    async fn released(&self, id: &SessionId, at_most: Duration) {
        let wait = self.lease_ended(id);
        // Dropping the wait leaves nothing to undo.
        let _ = tokio::time::timeout(at_most, wait).await;
    }
}
