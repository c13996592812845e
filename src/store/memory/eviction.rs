//! Making room: which session goes when there are too many.

use super::{
    shard::Fate,
    slot::{Class, Slot},
    sync::lock,
    table::Table,
};
use crate::{
    events::{EventKind, Observers},
    id::SessionId,
};

/// What was evicted: reported, and dropped, when no lock is held.
#[derive(Debug, Default)]
pub(super) struct Evicted(Vec<Slot>);

impl Evicted {
    pub(super) fn report(self, observers: &Observers) {
        for slot in self.0 {
            let owned = Class::of(&slot.record) == Class::Owned;
            tracing::info!(target: super::TARGET, id = %slot.id, owned, "evicted: the store is full");
            if slot.record.is_session() {
                observers.tell(EventKind::Evicted { id: slot.id, record: &slot.record });
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tells of what has expired. The caller holds no lock.
pub(super) fn tell_expired<'a>(observers: &Observers, slots: impl IntoIterator<Item = &'a Slot>) {
    if observers.is_empty() {
        return;
    }
    for slot in slots.into_iter().filter(|slot| slot.record.is_session()) {
        observers.tell(EventKind::Expired { id: slot.id, record: Some(&slot.record) });
    }
}

impl Table {
    /// Evicts until the bounds are kept. Never `newest`, which was just stored.
    ///
    /// The victim is the least recently used of the newest one's shard, of the first class that has one: ids are
    /// random, so that is a random shard. Only if that shard has none is another one asked.
    pub(super) fn make_room(&self, newest: &SessionId) -> Evicted {
        let mut evicted = Evicted::default();
        if self.shared.ledger.excess(&self.shared.bounds).is_none() {
            return evicted;
        }
        let _one_at_a_time = lock(&self.evicting);
        while let Some(classes) = self.shared.ledger.excess(&self.shared.bounds) {
            match classes.iter().find_map(|&class| self.evict(class, newest)) {
                Some(slot) => evicted.0.push(slot),
                None => break,
            }
        }
        evicted
    }

    fn evict(&self, class: Class, newest: &SessionId) -> Option<Slot> {
        let (own, count) = (self.shard_of(newest), self.shard_count());
        (0..count).find_map(|step| {
            let mut shard = self.shard_at((own + step) % count).ok()?;
            let victim = shard.victim(&self.shared, class, newest)?;
            Some(shard.take(&self.shared, victim, Fate::Evicted))
        })
    }
}
