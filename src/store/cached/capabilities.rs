//! Implements the optional capabilities of the store contract for the caching wrapper.

use std::time::Duration;

use async_trait::async_trait;

use super::{store::CachedStore, table::Change};
use crate::{
    id::SessionId,
    store::{
        Acquire, Clearing, Cursor, Holder, Idle, Leases, ListedSession, Listing, Owners, Page, SessionStore,
        StoreError, Swept, require,
    },
};

#[async_trait]
impl<S: SessionStore> Listing for CachedStore<S> {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        require::listing(&self.inner, "ids")?.ids(from, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        require::listing(&self.inner, "count")?.count().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        require::listing(&self.inner, "sweep")?.sweep().await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.write_all(require::listing(&self.inner, "delete_idle")?.delete_idle(idle)).await
    }
}

#[async_trait]
impl<S: SessionStore> Clearing for CachedStore<S> {
    async fn clear(&self) -> Result<u64, StoreError> {
        self.write_all(require::clearing(&self.inner, "clear")?.clear()).await
    }
}

#[async_trait]
impl<S: SessionStore> Owners for CachedStore<S> {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        require::owners(&self.inner, "list_owner")?.list_owner(owner).await
    }
}

#[async_trait]
impl<S: SessionStore> Leases for CachedStore<S> {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        // Acquiring a lease gives the record a new version.
        self.write(id, require::leases(&self.inner, "acquire")?.acquire(id, holder, time), |_| Change::Drop).await
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        self.write(id, require::leases(&self.inner, "release")?.release(id, holder), |_| Change::Drop).await
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        if let Some(leases) = self.inner.leases() {
            leases.released(id, at_most).await;
        }
    }
}
