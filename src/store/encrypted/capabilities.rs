//! Implements the optional capabilities of the store contract for the encrypting wrapper.

use std::time::Duration;

use async_trait::async_trait;

use super::store::EncryptedStore;
use crate::{
    id::SessionId,
    store::{
        Acquire, Clearing, Cursor, Holder, Idle, Leases, ListedSession, Listing, Owners, Page, SessionStore,
        StoreError, Swept, require,
    },
};

#[async_trait]
impl<S: SessionStore> Listing for EncryptedStore<S> {
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
        require::listing(&self.inner, "delete_idle")?.delete_idle(idle).await
    }
}

#[async_trait]
impl<S: SessionStore> Clearing for EncryptedStore<S> {
    async fn clear(&self) -> Result<u64, StoreError> {
        require::clearing(&self.inner, "clear")?.clear().await
    }
}

#[async_trait]
impl<S: SessionStore> Owners for EncryptedStore<S> {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let hashes = self.hashes(owner);
        let mut sessions: Vec<ListedSession> = Vec::new();
        // Lists all but the last hash a second time. Suppose that a session is resealed meanwhile, from a key that was
        // not listed yet to one that was: the second pass finds it.
        for hash in hashes.iter().chain(&hashes[..hashes.len() - 1]) {
            for mut owned in require::owners(&self.inner, "list_owner")?.list_owner(hash).await? {
                if let Some(stored) = owned.stored.take() {
                    owned.stored = Some(self.open(&owned.id, stored, "list_owner").await?);
                }
                match sessions.iter_mut().find(|seen| seen.id == owned.id) {
                    Some(before) => *before = owned,
                    None => sessions.push(owned),
                }
            }
        }
        Ok(sessions)
    }
}

#[async_trait]
impl<S: SessionStore> Leases for EncryptedStore<S> {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        Ok(match require::leases(&self.inner, "acquire")?.acquire(id, holder, time).await? {
            Acquire::Acquired { until, stored } => {
                Acquire::Acquired { until, stored: self.open_newer(id, stored, "lock").await }
            }
            outcome => outcome,
        })
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        require::leases(&self.inner, "release")?.release(id, holder).await
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        if let Some(leases) = self.inner.leases() {
            leases.released(id, at_most).await;
        }
    }
}
