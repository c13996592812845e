//! Walks over many sessions, in bounded steps, so that no caller waits long for a shard.

use super::{
    departed::tell_expired,
    journal::Ticket,
    journal_line::JournalLine,
    shard::{Fate, Shard},
    slot::Slot,
    sync::Ordering,
    table::Table,
};
use crate::{
    events::Observers,
    id::SessionId,
    store::{Idle, StoreError, Stored},
};

/// How many slots are looked at under one hold of a shard's lock.
const STEP: usize = 256;

/// How many times an owner's sessions are read without locking all shards, while others come and go.
const TRIES: usize = 3;

/// A place in a walk over all slots. A session never changes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) slot: u32,
}

/// The result of one step of `delete_idle`.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    pub(super) sessions: u64,
    pub(super) ticket: Option<Ticket>,
}

impl Table {
    /// Passes at most `STEP` slots from a place on to `show`. Returns where to continue; `None` at the end.
    pub(super) fn walk(&self, from: Place, show: impl FnMut(&Slot)) -> Result<Option<Place>, StoreError> {
        if from.shard as usize >= self.shard_count() {
            return Ok(None);
        }
        let shard = self.shard_at(from.shard as usize)?;
        Ok(self.walk_shard(&shard, from, show))
    }

    /// As [`walk`](Self::walk), but also after the store was closed: for the last snapshot.
    pub(super) fn walk_even_closed(&self, from: Place, show: impl FnMut(&Slot)) -> Option<Place> {
        self.walk_shard(&self.shard_even_closed(from.shard as usize), from, show)
    }

    fn walk_shard(&self, shard: &Shard, from: Place, mut show: impl FnMut(&Slot)) -> Option<Place> {
        for (looked_at, (slot, held)) in shard.slots_from(from.slot).enumerate() {
            if looked_at == STEP {
                return Some(Place { slot, ..from });
            }
            if let Some(held) = held {
                show(held);
            }
        }
        let next = Place { shard: from.shard + 1, slot: 0 };
        ((next.shard as usize) < self.shard_count()).then_some(next)
    }

    /// Takes out what has expired in one shard, in one step. Returns how many sessions that were, and whether that was
    /// all.
    pub(super) fn sweep_step(&self, shard: usize, now: u64, told: &Observers) -> Result<(u64, bool), StoreError> {
        let mut taken = Vec::new();
        let all = self.shard_at(shard)?.expire(&self.shared, now, STEP, &mut taken);
        tell_expired(told, &taken);
        Ok((sessions(&taken), all))
    }

    /// Removes the idle sessions of one step. Returns where to continue.
    pub(super) fn delete_idle_step(
        &self,
        from: Place,
        idle: Idle,
        now: u64,
    ) -> Result<(Deleted, Option<Place>), StoreError> {
        let mut candidates = Vec::new();
        let next = self.walk(from, |held| {
            if held.record.is_session() && held.is_idle(idle, now) && !held.is_expired(now) {
                candidates.push(held.id);
            }
        })?;
        let mut deleted = Deleted::default();
        for id in candidates {
            let mut shard = self.shard_at(from.shard as usize)?;
            // It may have been used meanwhile.
            let Some(slot) = shard.find_live(&id, now).filter(|&slot| shard.slot(slot).is_idle(idle, now)) else {
                continue;
            };
            let taken = shard.take(&self.shared, slot, Fate::Removed);
            if let Some(journal) = &self.shared.journal {
                deleted.ticket = Some(journal.push(JournalLine::one(&id, taken.version, 0)));
            }
            drop(shard);
            deleted.sessions += 1;
        }
        Ok((deleted, next))
    }

    /// Removes everything at one instant. Returns how many live sessions there were. Sweep first, so that the shards
    /// are locked for less time.
    pub(super) fn clear(&self, now: u64) -> Result<(u64, Option<Ticket>), StoreError> {
        let mut swept = Vec::new();
        let mut shards = self.all_shards()?;
        for shard in &mut shards {
            shard.expire(&self.shared, now, usize::MAX, &mut swept);
        }
        let live = self.shared.occupancy.sessions();
        let contents: Vec<_> = shards.iter_mut().map(|shard| shard.clear(now)).collect();
        self.shared.occupancy.clear();
        self.shared.owners.clear();
        let version = self.shared.version.load(Ordering::Acquire);
        let ticket = self.shared.journal.as_ref().map(|journal| journal.push(JournalLine::all(version)));
        drop(shards);
        drop((contents, swept));
        Ok((live, ticket))
    }

    /// Returns the live sessions of an owner: exactly those of one instant, even during renames.
    pub(super) fn list_owner(&self, owner: &str, now: u64) -> Result<Vec<(SessionId, Stored)>, StoreError> {
        // For an owner without sessions, no shard is locked below that would report that the store is closed.
        drop(self.shard_at(0)?);
        for _ in 0..TRIES {
            let (ids, changes) = self.shared.owners.ids(owner);
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let stored = self.peek(&id, |held| (!held.is_expired(now)).then(|| held.stored()))?;
                found.extend(stored.flatten().map(|stored| (id, stored)));
            }
            if self.shared.owners.changes(owner) == changes {
                return Ok(found);
            }
        }
        // Sessions of this owner keep coming and going, so lock all shards once.
        let shards = self.all_shards()?;
        let (ids, _) = self.shared.owners.ids(owner);
        let held = |id: &SessionId| {
            let shard = &shards[self.shard_of(id)];
            shard.find_live(id, now).map(|slot| (*id, shard.slot(slot).stored()))
        };
        Ok(ids.iter().filter_map(held).collect())
    }
}

fn sessions(taken: &[Slot]) -> u64 {
    taken.iter().filter(|slot| slot.record.is_session()).count() as u64
}
