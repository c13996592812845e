//! Implements the optional capabilities of the store contract for the memory store.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    core::Core,
    store::{MemoryStore, refused},
    walk::{Deleted, Place},
};
use crate::{
    events::EventKind,
    id::SessionId,
    store::{Acquire, Clearing, Cursor, Holder, Idle, Leases, ListedSession, Listing, Owners, Page, StoreError, Swept},
};

/// The most ids on one page, whatever limit is given.
const LARGEST_PAGE: usize = 65_536;

#[async_trait]
impl Listing for MemoryStore {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        let core = self.core();
        let limit = limit.clamp(1, LARGEST_PAGE);
        let (now, mut page) = (core.now(), Page::default());
        let mut place = Some(place(from));
        while let Some(from) = place
            && page.ids.len() < limit
        {
            let walked = core.table.walk(from, |held| {
                if held.record.is_session() && !held.is_expired(now) {
                    page.ids.push(held.id);
                }
            });
            place = walked.map_err(|error| refused("ids", error))?;
        }
        page.next = place.map(cursor);
        Ok(page)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let core = self.core();
        swept(core).await.map_err(|error| refused("count", error))?;
        Ok(core.table.shared.occupancy.sessions())
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        let core = self.core();
        let deleted = swept(core).await.map_err(|error| refused("sweep", error))?;
        let remaining = core.table.shared.occupancy.sessions();
        tracing::debug!(target: super::events::TARGET, deleted, remaining, "swept");
        core.observers.notify(EventKind::Swept { deleted, remaining });
        Ok(Swept { deleted, remaining })
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        let core = self.core();
        let failed = |error: StoreError| refused("delete_idle", error);
        let now = core.now();
        let mut swept = Swept { deleted: swept(core).await.map_err(failed)?, remaining: 0 };
        let (mut from, mut last) = (Some(Place::default()), None);
        let mut breath = Breath::default();
        while let Some(place) = from {
            breath.take().await;
            let (Deleted { sessions, ticket }, next) = core.table.delete_idle_step(place, idle, now).map_err(failed)?;
            swept.deleted += sessions;
            last = ticket.or(last);
            from = next;
        }
        // Lines are written in order, so with the last one all are written.
        core.written(last).await.map_err(failed)?;
        swept.remaining = core.table.shared.occupancy.sessions();
        tracing::debug!(target: super::events::TARGET, deleted = swept.deleted, remaining = swept.remaining, "idle deleted");
        core.observers.notify(EventKind::Swept { deleted: swept.deleted, remaining: swept.remaining });
        Ok(swept)
    }
}

#[async_trait]
impl Clearing for MemoryStore {
    async fn clear(&self) -> Result<u64, StoreError> {
        let core = self.core();
        // Sweep first, so that little is left to do while all shards are locked.
        swept(core).await.map_err(|error| refused("clear", error))?;
        let (removed, ticket) = core.table.clear(core.now()).map_err(|error| refused("clear", error))?;
        core.written(ticket).await.map_err(|error| refused("clear", error))?;
        tracing::debug!(target: super::events::TARGET, removed, "cleared");
        Ok(removed)
    }
}

#[async_trait]
impl Owners for MemoryStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let core = self.core();
        let listed = core.table.list_owner(owner, core.now()).map_err(|error| refused("list_owner", error))?;
        Ok(listed.into_iter().map(|(id, stored)| ListedSession::new(id).with_stored(stored)).collect())
    }
}

#[async_trait]
impl Leases for MemoryStore {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        let core = self.core();
        let longest = self.longest_lease();
        let time = if time.is_zero() { longest } else { time.min(longest) };
        let locked = core.table.acquire(id, holder, time, core.now());
        let (outcome, _over) = locked.map_err(|error| refused("acquire", error.on(id)))?;
        tracing::debug!(target: super::events::TARGET, %id, ?outcome, "lease requested");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let core = self.core();
        let lease = core.table.release(id, holder, core.now()).map_err(|error| refused("release", error.on(id)))?;
        tracing::debug!(target: super::events::TARGET, %id, held = lease.is_some(), "lease released");
        Ok(lease.is_some())
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        let core = self.core();
        let now = core.now();
        let waiting = core
            .table
            .peek(id, |held| held.lease(now).map(|lease| (lease.ended(), Duration::from_millis(lease.until - now))));
        if let Ok(Some(Some((ended, left)))) = waiting {
            let _ = tokio::time::timeout(at_most.min(left), ended).await;
        }
    }
}

/// Yields to the runtime's other tasks every few steps.
#[derive(Default)]
struct Breath(u32);

impl Breath {
    /// Steps between two yields: about 10,000 sessions.
    const STEPS: u32 = 32;

    async fn take(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(Self::STEPS) {
            tokio::task::yield_now().await;
        }
    }
}

/// Takes out everything that has expired. Returns how many sessions that were.
async fn swept(core: &Core) -> Result<u64, StoreError> {
    let (mut deleted, mut breath) = (0, Breath::default());
    for shard in 0..core.table.shard_count() {
        loop {
            let (count, all) = core.table.sweep_step(shard, core.now(), &core.observers)?;
            deleted += count;
            if all {
                break;
            }
            breath.take().await;
        }
    }
    Ok(deleted)
}

fn place(cursor: Cursor) -> Place {
    // The shard and the slot, 32 bits each.
    let position = cursor.to_u64().unwrap_or(0);
    Place { shard: (position >> 32) as u32, slot: position as u32 }
}

fn cursor(place: Place) -> Cursor {
    Cursor::from_u64(u64::from(place.shard) << 32 | u64::from(place.slot))
}
