//! Implements the store contract for the memory store.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{
    core::Core,
    store::{MemoryStore, refused},
    walk::{Deleted, Place},
};
use crate::{
    events::EventKind,
    id::SessionId,
    record::{Epoch, Owner, Record},
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, Owners, Page,
        Refresh, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version,
        provided,
    },
};

/// The most ids on one page, whatever limit is given.
const LARGEST_PAGE: usize = 65_536;

impl SessionStore for MemoryStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let core = self.core();
        let now = core.now();
        let loaded = core.table.load(id, now).map_err(|error| refused("load", error.on(id)))?;
        tracing::trace!(target: super::TARGET, %id, found = loaded.is_some(), "loaded");
        let Some(stored) = loaded else { return Ok(None) };
        let Some(owner) = stored.record.owner().filter(|_| stored.record.is_session()) else { return Ok(Some(stored)) };
        // The epoch is read after the record (L6).
        let epoch =
            core.table.load(&SessionId::for_epoch(owner.name()), now).map_err(|error| refused("load", error.on(id)))?;
        let epoch = epoch.and_then(|epoch| provided::epoch_in(&epoch, owner.name()));
        Ok(Some(stored.with_owner_epoch(epoch)))
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let core = self.core();
        let outcome = self.settle("create", id, core.table.create(id, record, usage, core.now())).await?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: super::TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: super::TARGET, %id, "not created: the id is taken"),
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
        let core = self.core();
        let done = core.table.update(id, record, expected, usage, core.now());
        let outcome = self.settle("update", id, done).await?;
        match outcome {
            Update::Updated(_) => tracing::debug!(target: super::TARGET, %id, "updated"),
            Update::Conflict(_) => tracing::info!(target: super::TARGET, %id, "not updated: another version"),
            Update::Gone => tracing::info!(target: super::TARGET, %id, "not updated: gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let core = self.core();
        let outcome = self.settle("touch", id, core.table.touch(id, usage, core.now())).await?;
        tracing::debug!(target: super::TARGET, %id, ?outcome, "touched");
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let core = self.core();
        let removed = self.settle("remove", id, core.table.remove(id, core.now())).await?.is_some();
        tracing::debug!(target: super::TARGET, %id, was_there = removed, "removed");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let core = self.core();
        let outcome = self.settle("end", id, core.table.end(id, expected, core.now())).await?;
        match outcome {
            End::Ended => tracing::debug!(target: super::TARGET, %id, "ended"),
            End::Conflict(_) => tracing::info!(target: super::TARGET, %id, "not ended: another version"),
            End::Gone => tracing::info!(target: super::TARGET, %id, "not ended: gone"),
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
            Rename::Renamed(_) => tracing::debug!(target: super::TARGET, id = %from, %to, "renamed"),
            Rename::Conflict(_) | Rename::Gone | Rename::Exists => {
                tracing::info!(target: super::TARGET, id = %from, %to, ?outcome, "not renamed");
            }
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        Ok(match self.load(id).await? {
            None => Refresh::Gone,
            Some(stored) if stored.version == held.version => {
                Refresh::Same { usage: stored.usage(), owner_epoch: stored.owner_epoch }
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
        tracing::debug!(target: super::TARGET, %id, "epoch renewed");
        Ok(())
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        super::NAME
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
        Ok(core.table.shared.ledger.sessions())
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        let core = self.core();
        let deleted = swept(core).await.map_err(|error| refused("sweep", error))?;
        let remaining = core.table.shared.ledger.sessions();
        tracing::debug!(target: super::TARGET, deleted, remaining, "swept");
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
        swept.remaining = core.table.shared.ledger.sessions();
        tracing::debug!(target: super::TARGET, deleted = swept.deleted, remaining = swept.remaining, "idle deleted");
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
        tracing::debug!(target: super::TARGET, removed, "cleared");
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
        tracing::debug!(target: super::TARGET, %id, ?outcome, "lease asked for");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let core = self.core();
        let lease = core.table.release(id, holder, core.now()).map_err(|error| refused("release", error.on(id)))?;
        tracing::debug!(target: super::TARGET, %id, held = lease.is_some(), "lease given back");
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
