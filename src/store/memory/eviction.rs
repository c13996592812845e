//! Eviction: which session makes room when there are too many.

use super::{
    departed::Evicted,
    shard::Fate,
    slot::{Class, Slot},
    sync::lock,
    table::Table,
};
use crate::id::SessionId;

impl Table {
    /// Evicts until the bounds are kept. Never evicts `newest`, which was just stored.
    ///
    /// The victim is the least recently used record in the shard of `newest`, of the first class that has one there.
    /// Ids are random, so that is a random shard. Other shards are tried only if that shard has none of the class.
    pub(super) fn make_room(&self, newest: &SessionId) -> Evicted {
        let mut evicted = Evicted::default();
        if self.shared.occupancy.excess(&self.shared.bounds).is_none() {
            return evicted;
        }
        let _one_at_a_time = lock(&self.evicting);
        while let Some(classes) = self.shared.occupancy.excess(&self.shared.bounds) {
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
