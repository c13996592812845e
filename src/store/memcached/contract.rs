//! Implements the store contract for the memcached store. `capabilities` has the optional part.

use std::{sync::Arc, time::SystemTime};

use tokio::time::{Instant, timeout_at};

use super::{
    client::{Command, Server},
    events::{NAME, TARGET},
    failure::failed,
    list_policy::ListPolicy,
    store::MemcachedStore,
};
use crate::{
    id::SessionId,
    record::{Epoch, Owner, Record},
    store::{
        Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, SessionStore, StoreError, StoreErrorKind,
        Stored, Touch, Update, Usage, Version,
    },
};

impl SessionStore for MemcachedStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let loaded = self.load_item(id).await.map_err(|error| failed("load", id, error))?;
        tracing::trace!(target: TARGET, %id, found = loaded.is_some(), "load");
        Ok(loaded.map(|held| held.stored))
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let outcome = self.create_item(id, record, usage).await.map_err(|error| failed("create", id, error))?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: TARGET, %id, "not created: the id is taken"),
        }
        if matches!(outcome, Create::Created(_)) {
            self.list_with_owner(id, record).await;
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
        let outcome =
            self.update_item(id, record, expected, usage).await.map_err(|error| failed("update", id, error))?;
        match outcome {
            Update::Updated(_) => {
                tracing::debug!(target: TARGET, %id, "updated");
                self.list_with_owner(id, record).await;
            }
            Update::Conflict(_) => tracing::info!(target: TARGET, %id, "not updated: another version is stored"),
            Update::Gone => tracing::info!(target: TARGET, %id, "not updated: the session is gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let outcome = self.touch_item(id, usage).await.map_err(|error| failed("touch", id, error))?;
        tracing::debug!(target: TARGET, %id, outcome = ?outcome, "touch");
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let removed = self.remove_item(id).await.map_err(|error| failed("remove", id, error))?;
        self.inner.listed.forget(id);
        self.inner.released.ring(id);
        tracing::debug!(target: TARGET, %id, removed, "remove");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let outcome = self.end_item(id, expected).await.map_err(|error| failed("end", id, error))?;
        match outcome {
            End::Ended => {
                self.inner.listed.forget(id);
                self.inner.released.ring(id);
                tracing::debug!(target: TARGET, %id, "ended");
            }
            End::Conflict(_) => tracing::info!(target: TARGET, %id, "not ended: another version is stored"),
            End::Gone => tracing::info!(target: TARGET, %id, "not ended: the session is gone"),
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let outcome = self.refresh_item(id, held).await.map_err(|error| failed("refresh", id, error))?;
        tracing::trace!(target: TARGET, %id, same = matches!(outcome, Refresh::Same { .. }), "refresh");
        Ok(outcome)
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        let id = SessionId::for_epoch(owner);
        self.epoch_of(&id).await.map_err(|error| failed("owner_epoch", &id, error))
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        let id = SessionId::for_epoch(owner);
        // A name that is not a valid owner has no epoch.
        Owner::new(owner, Epoch::from_u64(0))
            .map_err(|error| StoreError::new(StoreErrorKind::Other).during("ensure_epoch").because(error))?;
        self.keep_epoch(&id, usage).await.map_err(|error| failed("ensure_epoch", &id, error))
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::for_epoch(owner);
        self.change_epoch(&id, usage).await.map_err(|error| failed("renew_epoch", &id, error))
    }

    fn overwrites(&self) -> bool {
        self.inner.options.last_write_wins
    }

    fn name(&self) -> &'static str {
        NAME
    }

    /// Present unless the [`ListPolicy`] is `Error`: memcached can't list its items.
    fn listing(&self) -> Option<&dyn Listing> {
        (self.inner.options.list_policy != ListPolicy::Error).then_some(self as &dyn Listing)
    }

    /// Present if [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation) is set.
    fn clearing(&self) -> Option<&dyn Clearing> {
        self.inner.options.clear_by_generation.then_some(self as &dyn Clearing)
    }

    /// Present unless [`list_owners`](super::MemcachedStoreBuilder::list_owners) is off.
    fn owners(&self) -> Option<&dyn Owners> {
        self.inner.options.list_owners.then_some(self as &dyn Owners)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.metadata_of(id).await.map_err(|error| failed("metadata", id, error))
    }

    /// Waits until every request that was sent before is answered, including those whose callers have gone.
    async fn flush(&self) -> Result<(), StoreError> {
        for server in &self.inner.servers {
            let probe = || Command::get(&self.inner.keys.probe(), "t");
            server.flush(probe).await.map_err(|error| error.of_read().during("flush"))?;
        }
        Ok(())
    }

    /// Refuses further requests, waits for the replies to those under way, and disconnects.
    async fn close(&self) -> Result<(), StoreError> {
        let ending = self.inner.servers.iter().flat_map(Server::close);
        // All time limits begin at the same time.
        let ending: Vec<_> = ending.map(|closing| (Instant::now() + closing.limit(), closing)).collect();
        if ending.is_empty() {
            return Ok(());
        }
        let mut late = false;
        for (deadline, mut closing) in ending {
            if timeout_at(deadline, &mut closing.task).await.is_err() {
                closing.task.abort();
                late |= !closing.is_idle();
            }
        }
        if late {
            let error = StoreError::new(StoreErrorKind::Timeout).during("close");
            return Err(error.because("a server did not answer the pending requests"));
        }
        tracing::debug!(target: TARGET, "closed");
        Ok(())
    }
}
