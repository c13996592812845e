//! Defects of `Listing` and `Clearing`.

use session_layer::{
    SessionId,
    record::RecordKind,
    store::{Clearing, Cursor, Idle, Listing, Page, StoreError, Stored, Swept},
};

use super::{Broken, pause};
use crate::{defects::Defect, reference::Slot};

#[async_trait::async_trait]
impl Listing for Broken {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        if self.is(Defect::IdsByBucket) {
            let (state, now) = (self.inner.raw(), self.inner.now());
            let live = |slot: &Slot| slot.stored.record.is_session() && !slot.stored.is_expired(now);
            let named = state.slots.iter().filter(|(_, slot)| live(slot));
            let buckets = state.slots.len().next_power_of_two() as u64;
            let bucket = |id: &SessionId| id.as_uuid().as_u64_pair().1 % buckets;
            let mut left: Vec<_> = named.map(|(id, _)| (bucket(id), *id)).collect();
            left.retain(|(bucket, _)| *bucket >= from.to_u64().unwrap_or(0));
            left.sort_unstable();
            // Whole buckets, so that a position lies between two of them.
            let first = left.first().map(|(bucket, _)| *bucket);
            let next = left.iter().skip(limit).map(|(bucket, _)| *bucket).find(|next| Some(*next) > first);
            left.retain(|(bucket, _)| next.is_none_or(|next| *bucket < next));
            return Ok(Page { ids: left.into_iter().map(|(_, id)| id).collect(), next: next.map(Cursor::from_u64) });
        }
        let everything = self.is(Defect::IdsNameEverything);
        if everything || self.is(Defect::IdsByOffset) {
            let state = self.inner.raw();
            let named = |slot: &Slot| everything || slot.stored.record.is_session();
            let mut ids: Vec<_> = state.slots.iter().filter(|(_, slot)| named(slot)).map(|(id, _)| *id).collect();
            ids.sort_unstable();
            let start = usize::try_from(from.to_u64().unwrap_or(0)).unwrap_or(usize::MAX);
            let end = start.saturating_add(limit);
            let next = (end < ids.len()).then(|| Cursor::from_u64(end as u64));
            return Ok(Page { ids: ids.into_iter().skip(start).take(limit).collect(), next });
        }
        self.inner.ids(from, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        if self.is(Defect::CountsEverything) {
            return Ok(self.inner.raw().slots.len() as u64);
        }
        self.inner.count().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        if self.is(Defect::SweepRemovesLive) {
            self.inner.raw().slots.retain(|_, slot| !slot.stored.record.is_session());
        }
        let swept = self.inner.sweep().await?;
        Ok(if self.is(Defect::SweepCountsNothing) { Swept { deleted: 0, ..swept } } else { swept })
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        let (now, defect) = (self.inner.now(), self.defect);
        let stays = |slot: &Slot| {
            let Stored { record, used_at, .. } = &slot.stored;
            let since = |time| now.duration_since(time).unwrap_or_default();
            match defect {
                Defect::IdleIgnoresThrottle => !record.is_session() || since(*used_at) <= idle.unused_for(),
                Defect::IdleIgnoresUse => !record.is_session() || since(record.created_at()) <= idle.unused_for(),
                Defect::IdleEpochsDeleted => since(*used_at) <= idle.unused_for(),
                _ => true,
            }
        };
        self.inner.raw().slots.retain(|_, slot| stays(slot));
        self.inner.delete_idle(idle).await
    }
}

#[async_trait::async_trait]
impl Clearing for Broken {
    async fn clear(&self) -> Result<u64, StoreError> {
        if self.is(Defect::ClearLeavesEpochs) {
            let count = self.inner.count().await?;
            self.inner.raw().slots.retain(|_, slot| slot.stored.record.kind() == RecordKind::Epoch);
            return Ok(count);
        }
        if self.is(Defect::ClearsOneByOne) {
            let count = self.inner.count().await?;
            let ids: Vec<_> = self.inner.raw().slots.keys().copied().collect();
            for id in ids {
                pause().await;
                self.inner.raw().slots.remove(&id);
            }
            return Ok(count);
        }
        self.inner.clear().await
    }
}
