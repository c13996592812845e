//! Implements the optional capabilities of the store contract for the file store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{disk::Disk, layout::Layout, locks::Locks, owners, store::FileStore, walk::Sweep};
use crate::{
    id::SessionId,
    store::{Acquire, Clearing, Cursor, Holder, Idle, Leases, ListedSession, Listing, Owners, Page, StoreError, Swept},
};

/// How long a waiter for a lease waits before it tries again, since a release in another process does not wake it.
const LEASE_POLL: Duration = Duration::from_millis(50);

#[async_trait]
impl Listing for FileStore {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        self.read("ids", None, move |disk| disk.page(from, limit)).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let (mut count, mut next) = (0, Some(0));
        while let Some(first) = next {
            let looked = self.read("count", None, move |disk| disk.look_on(first, Sweep::Expired)).await?;
            count += looked.shards.iter().map(|(_, found)| found.remaining).sum::<u64>();
            next = looked.next;
        }
        Ok(count)
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.sweep_all("sweep", Sweep::Expired).await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.sweep_all("delete_idle", Sweep::Idle(idle, self.inner.disk.now())).await
    }
}

#[async_trait]
impl Clearing for FileStore {
    async fn clear(&self) -> Result<u64, StoreError> {
        Ok(self.sweep_all("clear", Sweep::All).await?.deleted)
    }
}

#[async_trait]
impl Owners for FileStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let name = owner.to_owned();
        let owned = self.read("list_owner", None, move |disk| owners::list(disk, &name)).await?;
        let owner = SessionId::for_epoch(owner);
        for id in owned.stale {
            let work = move |disk: &Disk, locks: &Locks| Ok(owners::unmark_stale(disk, locks, &owner, &id)?);
            self.write("list_owner", &id, work).await?;
        }
        Ok(owned.sessions.into_iter().map(|(id, stored)| ListedSession::new(id).with_stored(stored)).collect())
    }
}

#[async_trait]
impl Leases for FileStore {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        // Dropped with this future. If the call gets its turn later than that, it takes no lease, since nobody would
        // release it.
        let caller = Arc::new(());
        let (key, waiting) = (*id, Arc::downgrade(&caller));
        let work = move |disk: &Disk, locks: &Locks| disk.acquire(locks, &key, holder, time, &waiting);
        let outcome = self.write("acquire", id, work).await;
        drop(caller);
        let outcome = outcome?;
        tracing::debug!(target: super::events::TARGET, %id, ?outcome, "lease requested");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let key = *id;
        let had = self.write("release", id, move |disk, locks| disk.release(locks, &key, holder)).await?;
        self.inner.pool.release(Layout::shard_of(id));
        tracing::debug!(target: super::events::TARGET, %id, had, "lease released");
        Ok(had)
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        self.inner.pool.released(Layout::shard_of(id), at_most.min(LEASE_POLL)).await;
    }
}
