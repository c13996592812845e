//! What was written and not synced, so that a flush knows what to sync.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Durability,
    layout::{Layout, SHARDS},
};
use crate::id::SessionId;

/// How many ids are remembered; when there are more, a flush syncs every file of the shards concerned.
const MOST_IDS: usize = 1 << 16;

/// What this process has written and not synced.
pub(super) struct Dirty {
    shards: [AtomicBool; SHARDS],
    ids: Mutex<Ids>,
}

#[derive(Default)]
struct Ids {
    set: HashSet<SessionId>,
    overflown: bool,
}

/// What a flush has to sync.
pub(super) struct Unsynced {
    pub(super) shards: Vec<u8>,
    pub(super) ids: Vec<SessionId>,
    /// Every file of the shards: there are too many ids.
    pub(super) all: bool,
}

impl Dirty {
    pub(super) fn new() -> Self {
        Self { shards: [const { AtomicBool::new(false) }; SHARDS], ids: Mutex::default() }
    }

    /// A file has taken its place.
    pub(super) fn wrote(&self, durability: Durability, id: &SessionId) {
        if durability.syncs_dirs(false) {
            return;
        }
        self.shards[usize::from(Layout::shard_of(id))].store(true, Ordering::Release);
        if durability.syncs_files() {
            return;
        }
        let mut ids = self.ids();
        if ids.set.len() < MOST_IDS {
            ids.set.insert(*id);
        } else if !ids.set.contains(id) {
            ids.overflown = true;
        }
    }

    /// A file was removed.
    pub(super) fn removed(&self, durability: Durability, id: &SessionId) {
        if durability.syncs_dirs(true) {
            return;
        }
        self.shards[usize::from(Layout::shard_of(id))].store(true, Ordering::Release);
        self.ids().set.remove(id);
    }

    /// Takes what is to be synced. If syncing fails, [`put_back`](Self::put_back) it.
    pub(super) fn take(&self) -> Unsynced {
        let ids = std::mem::take(&mut *self.ids());
        let shards = (0..=u8::MAX).filter(|&shard| self.shards[usize::from(shard)].swap(false, Ordering::AcqRel));
        Unsynced { shards: shards.collect(), ids: ids.set.into_iter().collect(), all: ids.overflown }
    }

    pub(super) fn put_back(&self, unsynced: Unsynced) {
        let mut ids = self.ids();
        ids.set.extend(unsynced.ids);
        ids.overflown |= unsynced.all;
        for shard in unsynced.shards {
            self.shards[usize::from(shard)].store(true, Ordering::Release);
        }
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Dirty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dirty").field("ids", &self.ids().set.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(shard: u8, number: u64) -> SessionId {
        let mut bytes = [shard; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        SessionId::from_uuid(uuid::Uuid::from_bytes(bytes))
    }

    #[test]
    fn each_durability_leaves_something_else() {
        let dirty = Dirty::new();
        dirty.wrote(Durability::Full, &id(1, 0));
        dirty.removed(Durability::Full, &id(1, 0));
        dirty.removed(Durability::Data, &id(1, 0));
        let unsynced = dirty.take();
        assert!(unsynced.shards.is_empty() && unsynced.ids.is_empty());

        dirty.wrote(Durability::Data, &id(2, 0));
        dirty.wrote(Durability::None, &id(3, 0));
        dirty.wrote(Durability::None, &id(4, 0));
        dirty.removed(Durability::None, &id(4, 0));
        let unsynced = dirty.take();
        assert_eq!(
            (unsynced.shards.clone(), unsynced.ids.clone(), unsynced.all),
            (vec![2, 3, 4], vec![id(3, 0)], false)
        );
        assert!(dirty.take().shards.is_empty());

        dirty.put_back(unsynced);
        assert_eq!(dirty.take().ids, [id(3, 0)]);
    }

    #[test]
    fn too_many_ids_become_all() {
        let dirty = Dirty::new();
        for number in 0..=MOST_IDS as u64 {
            dirty.wrote(Durability::None, &id(0, number));
        }
        let unsynced = dirty.take();
        assert!(unsynced.all);
        assert_eq!(unsynced.ids.len(), MOST_IDS);
    }
}
