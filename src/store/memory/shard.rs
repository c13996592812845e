//! One shard of the table: the state under one lock.

use std::{collections::HashMap, sync::Arc};

use super::{
    journal::Journal,
    occupancy::{Bounds, Occupancy},
    owners::Owners,
    slot::{self, CLASSES, Class, Slot},
    sync::{Apart, AtomicU64, Ordering},
    wheel::Wheel,
};
use crate::{
    id::SessionId,
    record::Record,
    store::{Stored, Usage, id_hash::IdHash, slot_rings::SlotRings},
};

/// State that the shards share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bounds: Bounds,
    pub(super) occupancy: Apart<Occupancy>,
    pub(super) owners: Owners,
    /// The last version that was given to a record.
    pub(super) version: Apart<AtomicU64>,
    /// Where removals are recorded, if there are snapshots.
    pub(super) journal: Option<Arc<Journal>>,
}

impl Shared {
    /// Returns a version that no state of any id had before.
    pub(super) fn next_version(&self) -> u64 {
        self.version.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// Why a record leaves the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Expired,
    Evicted,
    Removed,
}

/// The numbers of sessions that were added to a shard and left it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) created: u64,
    pub(super) expired: u64,
    pub(super) evicted: u64,
    pub(super) removed: u64,
}

impl Totals {
    /// Sessions that were added and have not left: live, or expired and not yet swept.
    pub(super) fn present(&self) -> u64 {
        self.created - self.expired - self.evicted - self.removed
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.expired += other.expired;
        self.evicted += other.evicted;
        self.removed += other.removed;
    }
}

/// Records by id, their order of use, and their expiries. Every step here is O(1), except for taking out what has
/// expired.
#[derive(Debug)]
pub(super) struct Shard {
    index: HashMap<SessionId, u32, IdHash>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// One ring per class, the least recently used first.
    order: SlotRings,
    wheel: Wheel,
    last_stamp: u64,
    pub(super) totals: Totals,
    /// Set by `close`. Nothing is read or changed afterwards.
    pub(super) closed: bool,
}

impl Shard {
    pub(super) fn new(id_hash: IdHash, now: u64) -> Self {
        Self {
            index: HashMap::with_hasher(id_hash),
            slots: Vec::new(),
            free: Vec::new(),
            order: SlotRings::new(CLASSES as u32),
            wheel: Wheel::new(now),
            last_stamp: 0,
            totals: Totals::default(),
            closed: false,
        }
    }

    /// The slot under an id, expired or not.
    pub(super) fn find(&self, id: &SessionId) -> Option<u32> {
        self.index.get(id).copied()
    }

    /// The slot under an id, if it is live.
    pub(super) fn find_live(&self, id: &SessionId, now: u64) -> Option<u32> {
        self.find(id).filter(|&slot| !self.slot(slot).is_expired(now))
    }

    /// A slot whose number came from `find`, a ring or the wheel.
    pub(super) fn slot(&self, slot: u32) -> &Slot {
        self.slots[slot as usize].as_ref().expect("the index, the rings and the wheel name slots in use only")
    }

    pub(super) fn slot_mut(&mut self, slot: u32) -> &mut Slot {
        self.slots[slot as usize].as_mut().expect("the index, the rings and the wheel name slots in use only")
    }

    /// All slots from number `from` on, with their numbers. Free slots are `None`.
    pub(super) fn slots_from(&self, from: u32) -> impl Iterator<Item = (u32, Option<&Slot>)> {
        // Numbered by the slots themselves, not by counting from `from`: a cursor can contain any number, and the
        // largest has no successor.
        let slots = self.slots.iter().enumerate().skip(from as usize);
        slots.map(|(number, slot)| (number as u32, slot.as_ref()))
    }

    /// Loads a record, which counts as a use.
    pub(super) fn load(&mut self, slot: u32, now: u64) -> Stored {
        self.used(slot, now);
        let held = self.slot_mut(slot);
        held.loads = held.loads.saturating_add(1);
        held.stored()
    }

    /// Makes a slot the most recently used of its class.
    fn used(&mut self, slot: u32, now: u64) {
        let stamp = slot::stamp_after(self.last_stamp, now);
        self.last_stamp = stamp;
        let held = self.slot_mut(slot);
        held.stamp = stamp;
        let head = Class::of(&held.record).head();
        self.order.unlink(slot);
        self.order.push(head, slot);
    }

    /// Stores a record under an id that has none. Returns its version.
    pub(super) fn create(
        &mut self,
        shared: &Shared,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
        now: u64,
    ) -> u64 {
        let version = shared.next_version();
        let stamp = slot::stamp_after(self.last_stamp, now);
        let (used_at, expires_at) = millis(record, usage);
        let record = Arc::clone(record);
        self.insert(shared, Slot { id: *id, record, version, used_at, expires_at, stamp, loads: 0, lease: None });
        version
    }

    /// Inserts a slot as the most recently used.
    pub(super) fn insert(&mut self, shared: &Shared, slot: Slot) {
        self.last_stamp = self.last_stamp.max(slot.stamp);
        if slot.record.is_session() {
            self.totals.created += 1;
        }
        shared.occupancy.add(&slot.record);
        shared.owners.add(slot.id, &slot.record);
        let (id, class, expires_at) = (slot.id, Class::of(&slot.record), slot.expires_at);
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = Some(slot);
                number
            }
            None => {
                let number = u32::try_from(self.slots.len()).expect("a shard has fewer than 2^31 slots");
                self.slots.push(Some(slot));
                number
            }
        };
        self.index.insert(id, number);
        self.order.push(class.head(), number);
        self.wheel.schedule(number, expires_at);
    }

    /// Replaces the record in a slot. Returns the old one, which the caller drops after it has released the lock, and
    /// the new version.
    pub(super) fn replace(
        &mut self,
        shared: &Shared,
        slot: u32,
        record: &Arc<Record>,
        usage: Usage,
        now: u64,
    ) -> (Arc<Record>, u64) {
        let version = shared.next_version();
        let (used_at, expires_at) = millis(record, usage);
        let held = self.slot_mut(slot);
        let id = held.id;
        held.version = version;
        held.used_at = used_at;
        let old = std::mem::replace(&mut held.record, Arc::clone(record));
        match (old.is_session(), record.is_session()) {
            (true, false) => self.totals.removed += 1,
            (false, true) => self.totals.created += 1,
            _ => {}
        }
        shared.occupancy.subtract(&old);
        shared.occupancy.add(record);
        if old.owner().map(|owner| owner.name()) != record.owner().map(|owner| owner.name())
            || old.is_session() != record.is_session()
        {
            shared.owners.forget(&id, &old);
            shared.owners.add(id, record);
        }
        self.expire_at(slot, expires_at);
        self.used(slot, now);
        (old, version)
    }

    /// Moves the last use and the expiry, but neither of them back.
    pub(super) fn touch(&mut self, slot: u32, usage: Usage, now: u64) {
        let held = self.slot_mut(slot);
        let (used_at, expires_at) = millis(&held.record, usage);
        held.used_at = held.used_at.max(used_at);
        let expires_at = held.expires_at.max(expires_at);
        self.expire_at(slot, expires_at);
        self.used(slot, now);
    }

    fn expire_at(&mut self, slot: u32, expires_at: u64) {
        let held = self.slot_mut(slot);
        if held.expires_at != expires_at {
            held.expires_at = expires_at;
            self.wheel.cancel(slot);
            self.wheel.schedule(slot, expires_at);
        }
    }

    /// Takes a slot out. The caller drops it after it has released the lock.
    pub(super) fn take(&mut self, shared: &Shared, slot: u32, fate: Fate) -> Slot {
        self.order.unlink(slot);
        self.wheel.cancel(slot);
        let taken =
            self.slots[slot as usize].take().expect("the index, the rings and the wheel name slots in use only");
        self.free.push(slot);
        self.index.remove(&taken.id);
        shared.occupancy.subtract(&taken.record);
        shared.owners.forget(&taken.id, &taken.record);
        if taken.record.is_session() {
            let total = match fate {
                Fate::Expired => &mut self.totals.expired,
                Fate::Evicted => &mut self.totals.evicted,
                Fate::Removed => &mut self.totals.removed,
            };
            *total += 1;
        }
        taken
    }

    /// Takes out what has expired, in about `budget` steps. Returns whether that was all.
    pub(super) fn expire(&mut self, shared: &Shared, now: u64, budget: usize, taken: &mut Vec<Slot>) -> bool {
        let mut due = Vec::new();
        let slots = &self.slots;
        let expiry = |slot: u32| slots[slot as usize].as_ref().map_or(0, |held| held.expires_at);
        let all = self.wheel.advance(now, budget, expiry, &mut due);
        taken.extend(due.into_iter().map(|slot| self.take(shared, slot, Fate::Expired)));
        all
    }

    /// Returns the least recently used record of a class, except `newest` and the epochs of owners that have sessions:
    /// a session without its epoch would be revoked.
    pub(super) fn victim(&mut self, shared: &Shared, class: Class, newest: &SessionId) -> Option<u32> {
        /// How many epochs in use are skipped in one call. They move to the end of their ring.
        const TRIES: usize = 8;

        for _ in 0..TRIES {
            let mut oldest = self.order.first(class.head())?;
            if self.slot(oldest).id == *newest {
                oldest = self.order.after(oldest)?;
            }
            let owner = self.slot(oldest).record.owner().filter(|_| class == Class::Epoch);
            if owner.is_none_or(|owner| !shared.owners.has_any(owner.name())) {
                return Some(oldest);
            }
            self.order.unlink(oldest);
            self.order.push(class.head(), oldest);
        }
        None
    }

    /// Empties the shard. Returns its contents, which the caller drops after it has released the locks. The caller
    /// holds every shard's lock and clears the state that they share.
    pub(super) fn clear(&mut self, now: u64) -> Vec<Option<Slot>> {
        self.totals.removed += self.totals.present();
        let id_hash = self.index.hasher().clone();
        let fresh = Self { totals: self.totals, last_stamp: self.last_stamp, ..Self::new(id_hash, now) };
        std::mem::replace(self, fresh).slots
    }
}

/// The last use and the expiry in milliseconds, the latter capped by the record's absolute limit.
pub(super) fn millis(record: &Record, usage: Usage) -> (u64, u64) {
    (usage.used_millis(), usage.expires_millis().min(record.limit_millis()))
}
