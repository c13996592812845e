//! Implements the optional capabilities of the store contract for the memcached store.

use std::time::Duration;

use async_trait::async_trait;

use super::{events::TARGET, failure::failed, list_policy::ListPolicy, store::MemcachedStore};
use crate::{
    id::SessionId,
    store::{Acquire, Clearing, Cursor, Holder, Idle, Leases, ListedSession, Listing, Owners, Page, StoreError, Swept},
};

#[async_trait]
impl Listing for MemcachedStore {
    async fn ids(&self, _from: Cursor, _limit: usize) -> Result<Page, StoreError> {
        self.unlistable("ids")
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.unlistable("count")
    }

    /// Does nothing: memcached drops expired items itself, and does not report how many. So this fails under
    /// [`ListPolicy::Error`].
    async fn sweep(&self) -> Result<Swept, StoreError> {
        match self.inner.options.list_policy {
            ListPolicy::Error => Err(StoreError::unsupported("sweep")),
            ListPolicy::Ignore | ListPolicy::Warn => Ok(Swept::default()),
        }
    }

    /// Fails with `Unsupported`: memcached can't list the sessions to end. It drops sessions by itself once their idle
    /// limit has passed.
    async fn delete_idle(&self, _idle: Idle) -> Result<Swept, StoreError> {
        Err(StoreError::unsupported("delete_idle")
            .because("memcached can't list its items: give sessions an idle limit"))
    }
}

#[async_trait]
impl Clearing for MemcachedStore {
    /// Ends every session, if [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation) is set.
    /// Returns 0, since the number of sessions is not known.
    async fn clear(&self) -> Result<u64, StoreError> {
        if !self.inner.options.clear_by_generation {
            let error = StoreError::unsupported("clear");
            return Err(error.because("memcached can't list its items: set `clear_by_generation` on the builder"));
        }
        self.renew_generations().await.map_err(|error| error.during("clear"))?;
        tracing::info!(target: TARGET, "cleared: every server has a new generation");
        Ok(0)
    }
}

#[async_trait]
impl Owners for MemcachedStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        if !self.inner.options.list_owners {
            let error = StoreError::unsupported("list_owner");
            return Err(error.because("owner lists are turned off: set `list_owners` on the builder"));
        }
        let id = SessionId::for_epoch(owner);
        let listed = self.sessions_of(owner, &id).await.map_err(|error| failed("list_owner", &id, error))?;
        Ok(listed.into_iter().map(|(id, stored)| ListedSession::new(id).with_stored(stored)).collect())
    }
}

#[async_trait]
impl Leases for MemcachedStore {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        let outcome = self.acquire_item(id, holder, time).await.map_err(|error| failed("acquire", id, error))?;
        tracing::debug!(target: TARGET, %id, outcome = ?outcome, "lock");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let released = self.release_item(id, holder).await.map_err(|error| failed("release", id, error))?;
        tracing::debug!(target: TARGET, %id, released, "unlock");
        Ok(released)
    }

    /// Polls the lease (see [Leases](Self#leases)), and stops when it can't be read.
    async fn released(&self, id: &SessionId, at_most: Duration) {
        let wait = self.lease_ended(id);
        // A wait that is cut off leaves nothing to undo.
        let _ = tokio::time::timeout(at_most, wait).await;
    }
}

impl MemcachedStore {
    /// Answers an operation that memcached doesn't have, as the policy says.
    fn unlistable<T: Default>(&self, operation: &'static str) -> Result<T, StoreError> {
        match self.inner.options.list_policy {
            ListPolicy::Ignore => Ok(T::default()),
            ListPolicy::Warn => {
                tracing::warn!(target: TARGET, operation, "memcached can't do this: the answer is empty");
                Ok(T::default())
            }
            ListPolicy::Error => Err(StoreError::unsupported(operation)),
        }
    }
}
