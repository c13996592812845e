//! The capabilities of the SQL store.

use std::time::Duration;

use async_trait::async_trait;

use super::{error::SqlStoreError, events::TARGET, store::SqlStore};
use crate::{
    id::SessionId,
    store::{Acquire, Clearing, Cursor, Holder, Idle, Leases, ListedSession, Listing, Owners, Page, StoreError, Swept},
};

#[async_trait]
impl Listing for SqlStore {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        self.page(from, limit).await.map_err(|error| self.failed("ids", None, error.of_read()))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.count_rows().await.map_err(|error| self.failed("count", None, error.of_read()))
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.sweep_rows().await.map_err(|error| self.failed("sweep", None, error.of_write()))
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.remove_idle(idle).await.map_err(|error| self.failed("delete_idle", None, error.of_write()))
    }
}

#[async_trait]
impl Clearing for SqlStore {
    async fn clear(&self) -> Result<u64, StoreError> {
        let removed = self.remove_all().await.map_err(SqlStoreError::of_write);
        let removed = removed.map_err(|error| self.failed("clear", None, error))?;
        self.inner.released.ring_all();
        tracing::info!(target: TARGET, removed, "cleared");
        Ok(removed)
    }
}

#[async_trait]
impl Owners for SqlStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        self.sessions_of(owner).await.map_err(|error| self.failed("list_owner", None, error))
    }
}

#[async_trait]
impl Leases for SqlStore {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        let outcome =
            self.acquire_row(id, holder, time).await.map_err(|error| self.failed("acquire", Some(id), error))?;
        tracing::debug!(target: TARGET, %id, ?outcome, "lease asked for");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let had = self.release_row(id, holder).await.map_err(|error| self.failed("release", Some(id), error))?;
        tracing::debug!(target: TARGET, %id, had, "lease given back");
        Ok(had)
    }
    /// Returns as soon as the lease is given back in this process. To notice that another process gave it back, reads
    /// the row every 20 to 160 milliseconds.
    async fn released(&self, id: &SessionId, at_most: Duration) {
        // The wait only reads, so dropping it leaves nothing to undo.
        let _ = tokio::time::timeout(at_most, self.lease_ended(id)).await;
    }
}
