//! Tracks unsynced changes, so that a flush can sync them.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::layout::{Layout, SHARDS};
use crate::{id::SessionId, store::Durability};

/// How many ids are remembered. If there are more, a flush syncs every file in the shards concerned.
const MOST_IDS: usize = 1 << 16;

/// The changes that this process has made and not synced.
///
/// Each item has the number of its last change. It stays here until a sync that began after that change has succeeded.
/// A flush therefore removes nothing while it syncs, and a concurrent flush, or one after a failure, syncs the same
/// items again.
pub(super) struct Dirty {
    shards: [Names; SHARDS],
    owners: [Names; SHARDS],
    ids: Mutex<Ids>,
}

/// The numbers of a directory's last change and of its last synced change.
struct Names {
    changed: AtomicU64,
    synced: AtomicU64,
}

#[derive(Default)]
struct Ids {
    files: HashMap<SessionId, DirtyFile>,
    last: u64,
    /// The number of the last change that was not kept by id, since there were too many.
    overflown: u64,
    all_synced: u64,
}

/// A session's file that is not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DirtyFile {
    number: u64,
    /// A sync has failed, so the content must be written anew.
    pub(super) is_lost: bool,
}

/// The changes that a flush has to sync.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ToSync {
    pub(super) files: Vec<(SessionId, DirtyFile)>,
    /// Each with the number of its last change.
    pub(super) shards: Vec<(u8, u64)>,
    pub(super) owners: Vec<(u8, u64)>,
    /// Set if there were too many ids, so that all files in the shards must be synced: the number of the last change.
    pub(super) all: Option<u64>,
}

impl Names {
    const fn new() -> Self {
        Self { changed: AtomicU64::new(0), synced: AtomicU64::new(0) }
    }

    fn change(&self) {
        self.changed.fetch_add(1, Ordering::AcqRel);
    }

    fn unsynced(&self) -> Option<u64> {
        let changed = self.changed.load(Ordering::Acquire);
        (self.synced.load(Ordering::Acquire) < changed).then_some(changed)
    }

    fn synced(&self, number: u64) {
        self.synced.fetch_max(number, Ordering::AcqRel);
    }
}

impl Dirty {
    pub(super) fn new() -> Self {
        let names = || [const { Names::new() }; SHARDS];
        Self { shards: names(), owners: names(), ids: Mutex::default() }
    }

    /// Notes that a file was renamed into place.
    pub(super) fn wrote(&self, durability: Durability, id: &SessionId) {
        if durability.syncs_dirs(false) {
            return;
        }
        self.changed(id);
        if durability.syncs_files() {
            return;
        }
        let mut ids = self.ids();
        ids.last += 1;
        let unsynced = DirtyFile { number: ids.last, is_lost: false };
        if ids.files.len() < MOST_IDS || ids.files.contains_key(id) {
            ids.files.insert(*id, unsynced);
        } else {
            ids.overflown = ids.last;
        }
    }

    /// Notes that a file was removed.
    pub(super) fn removed(&self, durability: Durability, id: &SessionId) {
        if durability.syncs_dirs(true) {
            return;
        }
        self.changed(id);
        self.ids().files.remove(id);
    }

    /// Notes that an owner's mark was made.
    pub(super) fn marked(&self, durability: Durability, owner: &SessionId) {
        if !durability.syncs_files() {
            self.owners[usize::from(Layout::shard_of(owner))].change();
        }
    }

    /// Notes that the name of a session's file has changed.
    pub(super) fn changed(&self, id: &SessionId) {
        self.shards[usize::from(Layout::shard_of(id))].change();
    }

    /// Returns what must be synced. Each item stays until it is reported as synced.
    pub(super) fn to_sync(&self) -> ToSync {
        let unsynced = |names: &[Names; SHARDS]| {
            (0..=u8::MAX).filter_map(|shard| Some((shard, names[usize::from(shard)].unsynced()?))).collect()
        };
        let ids = self.ids();
        ToSync {
            files: ids.files.iter().map(|(id, unsynced)| (*id, *unsynced)).collect(),
            shards: unsynced(&self.shards),
            owners: unsynced(&self.owners),
            all: (ids.all_synced < ids.overflown).then_some(ids.overflown),
        }
    }

    /// Notes that a file was synced in this state.
    pub(super) fn synced_file(&self, id: &SessionId, unsynced: DirtyFile) {
        let mut ids = self.ids();
        if ids.files.get(id).is_some_and(|now| now.number == unsynced.number) {
            ids.files.remove(id);
        }
    }

    /// Notes that a file could not be synced. Its content counts as just written, and as lost.
    pub(super) fn lost_file(&self, id: &SessionId) {
        let mut ids = self.ids();
        ids.last += 1;
        let number = ids.last;
        ids.files.insert(*id, DirtyFile { number, is_lost: true });
    }

    /// Notes that all files written up to this number were synced.
    pub(super) fn synced_all(&self, number: u64) {
        let mut ids = self.ids();
        ids.all_synced = ids.all_synced.max(number);
    }

    pub(super) fn synced_shard(&self, shard: u8, number: u64) {
        self.shards[usize::from(shard)].synced(number);
    }

    pub(super) fn synced_owners(&self, shard: u8, number: u64) {
        self.owners[usize::from(shard)].synced(number);
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Dirty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dirty").field("ids", &self.ids().files.len()).finish_non_exhaustive()
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

    fn shards(to_sync: &ToSync) -> Vec<u8> {
        to_sync.shards.iter().map(|(shard, _)| *shard).collect()
    }

    #[test]
    fn each_durability_leaves_something_else() {
        let dirty = Dirty::new();
        dirty.wrote(Durability::Full, &id(1, 0));
        dirty.removed(Durability::Full, &id(1, 0));
        dirty.removed(Durability::Data, &id(1, 0));
        dirty.marked(Durability::Data, &id(1, 0));
        assert_eq!(dirty.to_sync(), ToSync::default());

        dirty.wrote(Durability::Data, &id(2, 0));
        dirty.wrote(Durability::None, &id(3, 0));
        dirty.wrote(Durability::None, &id(4, 0));
        dirty.removed(Durability::None, &id(4, 0));
        dirty.marked(Durability::None, &id(5, 0));
        let to_sync = dirty.to_sync();
        assert_eq!(shards(&to_sync), [2, 3, 4]);
        assert_eq!((to_sync.files.len(), to_sync.files[0].0, to_sync.owners[0].0), (1, id(3, 0), 5));
        assert_eq!(dirty.to_sync(), to_sync, "looking at it syncs nothing");
    }

    #[test]
    fn a_file_that_changes_during_its_sync_stays_unsynced() {
        let dirty = Dirty::new();
        dirty.wrote(Durability::None, &id(1, 0));
        dirty.wrote(Durability::None, &id(2, 0));
        let before = dirty.to_sync();
        dirty.wrote(Durability::None, &id(2, 0));
        for (id, unsynced) in before.files {
            dirty.synced_file(&id, unsynced);
        }
        for (shard, number) in before.shards {
            dirty.synced_shard(shard, number);
        }
        let after = dirty.to_sync();
        assert_eq!((shards(&after), after.files[0].0, after.files.len()), (vec![2], id(2, 0), 1));
    }

    #[test]
    fn a_lost_file_stays_lost_until_it_is_written_anew() {
        let dirty = Dirty::new();
        dirty.wrote(Durability::None, &id(1, 0));
        let (_, before) = dirty.to_sync().files[0];
        dirty.lost_file(&id(1, 0));
        dirty.synced_file(&id(1, 0), before);
        let (_, lost) = dirty.to_sync().files[0];
        assert!(lost.is_lost, "a sync that began before it was lost proves nothing");
        dirty.synced_file(&id(1, 0), lost);
        assert!(dirty.to_sync().files.is_empty());
        dirty.lost_file(&id(1, 0));
        dirty.wrote(Durability::None, &id(1, 0));
        assert!(!dirty.to_sync().files[0].1.is_lost, "a new file takes its place");
    }

    #[test]
    fn too_many_ids_become_all() {
        let dirty = Dirty::new();
        for number in 0..=MOST_IDS as u64 {
            dirty.wrote(Durability::None, &id(0, number));
        }
        let to_sync = dirty.to_sync();
        assert_eq!(to_sync.files.len(), MOST_IDS);
        let all = to_sync.all.expect("there were too many");
        dirty.synced_all(all);
        assert_eq!(dirty.to_sync().all, None);
    }
}
