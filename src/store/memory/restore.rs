//! Restores the sessions of a store when it is opened.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use super::{
    atomic_file,
    error::MemoryOpenError,
    journal::Journal,
    journal_line::Removals,
    occupancy::Bounds,
    snapshot::{self, ReadError, Saved},
    snapshotter::Snapshotter,
    table::Table,
};

/// The gap that is left for versions given between the last write that reached the disk and a crash. Their number is
/// unknown, but far smaller.
const VERSION_GAP_BITS: u32 = 40;

/// The first version of the last store that this process opened, in gaps.
static LAST_GAP: AtomicU64 = AtomicU64::new(0);

/// Returns the version with which a store begins. It is above all versions in the store's files, and above all versions
/// that other stores with files have given in this process. So a caller that still holds a version of a closed store
/// can't meet it again in the store that is opened in its place, even if the files are gone or were moved aside
/// meanwhile.
fn first_version(known: u64) -> u64 {
    let gap = |last: u64| last.max(known >> VERSION_GAP_BITS) + 1;
    gap(LAST_GAP.update(Ordering::AcqRel, Ordering::Acquire, gap)) << VERSION_GAP_BITS
}

/// What a [`MemoryStore`](crate::MemoryStore) restored when it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The number of sessions that were restored.
    pub sessions: u64,
    /// The number of the snapshot's records that have expired meanwhile.
    pub expired: u64,
    /// The number of the snapshot's records that were removed, renamed or revoked after it was begun.
    pub removed: u64,
    /// The number of sessions that were evicted, since the capacity is smaller than it was.
    pub evicted: u64,
    /// When the snapshot was begun; `None` if there was none.
    pub written_at: Option<SystemTime>,
    /// Where damaged files were moved, if there were any and the builder's `move_damaged_aside` is set.
    pub moved_aside: Vec<PathBuf>,
}

/// Opens the snapshot and journal at `path`, or an empty table if there are none.
pub(super) fn open(
    path: PathBuf,
    bounds: Bounds,
    sync: bool,
    move_aside: bool,
    now: u64,
) -> Result<(Table, Snapshotter, Restored), MemoryOpenError> {
    if path.is_dir() {
        let problem = format!("names a directory: {}", path.display());
        return Err(MemoryOpenError::Setting { setting: "snapshot_path", problem });
    }
    let lock = lock(&path)?;
    let journal_path = atomic_file::beside(&path, ".journal");
    let mut restored = Restored::default();
    let (saved, removals) = match read(&path, &journal_path, now, &mut restored) {
        Err(MemoryOpenError::Damaged { path: damaged, problem }) if move_aside => {
            restored = Restored { moved_aside: aside(&[&path, &journal_path], now)?, ..Restored::default() };
            tracing::warn!(
                target: super::events::TARGET, path = %damaged.display(), problem, moved_to = ?restored.moved_aside,
                "a damaged file was set aside: the store starts empty"
            );
            Default::default()
        }
        read => read?,
    };
    let version = saved.iter().map(|saved| saved.version).fold(removals.version, u64::max);
    let version = first_version(version);
    // The old lines stay until the next snapshot, since the old snapshot is still the last one.
    let (journal, thread) = Journal::start(journal_path.clone(), sync, version, &removals.lines)
        .map_err(|source| MemoryOpenError::Io { operation: "write", path: journal_path, source })?;
    let table = Table::new(bounds, version, Some(Arc::clone(&journal)), now);
    restored.evicted = table.restore(saved);
    restored.sessions = table.shared.occupancy.sessions();
    tracing::debug!(
        target: super::events::TARGET, path = %path.display(), sessions = restored.sessions, expired = restored.expired,
        removed = restored.removed, evicted = restored.evicted, "restored"
    );
    Ok((table, Snapshotter::new(path, lock, journal, thread), restored))
}

/// Locks the path against a second store, in this process or another one.
fn lock(path: &Path) -> Result<File, MemoryOpenError> {
    let lock = atomic_file::beside(path, ".lock");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| {
            let path = folder.to_owned();
            MemoryOpenError::Io { operation: "create the directory", path, source }
        })?;
    }
    let failed = |source| MemoryOpenError::Io { operation: "lock", path: lock.clone(), source };
    let file = atomic_file::private().create(true).truncate(false).open(&lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(MemoryOpenError::InUse { path: path.to_owned(), lock }),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn read(
    path: &Path,
    journal: &Path,
    now: u64,
    restored: &mut Restored,
) -> Result<(Vec<Saved>, Removals), MemoryOpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| MemoryOpenError::Io { operation: "read", path, source }
    };
    let damaged = |path: &Path, problem| MemoryOpenError::Damaged { path: path.to_owned(), problem };
    let mut removals = match found(fs::read(journal)).map_err(failed(journal))? {
        Some(bytes) => Removals::read(&bytes).map_err(|problem| damaged(journal, problem))?,
        None => Removals::default(),
    };
    let Some(file) = found(File::open(path)).map_err(failed(path))? else { return Ok((Vec::new(), removals)) };
    let size = file.metadata().map_err(failed(path))?.len();
    let mut kept = Vec::new();
    let head = snapshot::read(BufReader::new(file), size, |mut saved| {
        let limit = removals.limit(&saved.id, saved.version);
        saved.expires_at = saved.expires_at.min(limit);
        if limit == 0 {
            restored.removed += 1;
        } else if saved.expires_at <= now {
            restored.expired += 1;
        } else {
            kept.push(saved);
        }
    })
    .map_err(|error| match error {
        ReadError::Io(source) => failed(path)(source),
        ReadError::Damaged(problem) => damaged(path, problem),
    })?;
    removals.version = removals.version.max(head.version);
    restored.written_at = Some(head.written_at);
    Ok((kept, removals))
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Moves files aside, each to a name that is free.
fn aside(paths: &[&Path], now: u64) -> Result<Vec<PathBuf>, MemoryOpenError> {
    let mut moved = Vec::new();
    for path in paths.iter().filter(|path| path.exists()) {
        let free = (0u32..).map(|number| atomic_file::beside(path, &format!(".damaged-{now}-{number}")));
        let to = free.into_iter().find(|to| !to.exists()).unwrap_or_else(|| atomic_file::beside(path, ".damaged"));
        let move_aside = || {
            let folder = atomic_file::Folder::of(path)?;
            fs::rename(path, &to)?;
            folder.sync()
        };
        move_aside().map_err(|source| {
            let path = path.to_path_buf();
            MemoryOpenError::Io { operation: "move aside", path, source }
        })?;
        moved.push(to);
    }
    Ok(moved)
}

impl Table {
    /// Restores records in their order of use. Returns how many sessions were evicted.
    fn restore(&self, mut saved: Vec<Saved>) -> u64 {
        let mut evicted = 0;
        // A stable sort: records of one shard with the same stamp stay in the order in which they were written.
        saved.sort_by_key(|saved| saved.stamp);
        for saved in saved {
            let id = saved.id;
            // The table is new, so it is not closed.
            let Ok(mut shard) = self.shard_at(self.shard_of(&id)) else { break };
            let other = shard.find(&id).map(|slot| (slot, shard.slot(slot).version));
            match other {
                // If an id was removed and created again while the snapshot was written, the snapshot contains it
                // twice.
                Some((_, version)) if version > saved.version => continue,
                Some((slot, _)) => drop(shard.take(&self.shared, slot, super::shard::Fate::Removed)),
                None => {}
            }
            shard.insert(&self.shared, saved.into_slot());
            drop(shard);
            evicted += self.make_room(&id).len() as u64;
        }
        evicted
    }
}

/// For the fuzz target: any snapshot and journal, with valid checksums or not, is restored or refused.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    const NOW: u64 = 1_800_000_000_000;
    let Some((&how, data)) = data.split_first() else { return };
    let (journal, data) = data.split_at(data.len().min(usize::from(how >> 2) * 8));
    // The checksums are made valid, since otherwise no input would get past them.
    let removals = Removals::read(&super::journal_line::of_lines(journal)).expect("its lines are whole");
    let _ = Removals::read(journal);
    let bytes = match how & 3 {
        0 => data.to_vec(),
        1 => snapshot::of_block(data),
        _ => snapshot::of_numbers(data),
    };
    let mut saved = Vec::new();
    let read = snapshot::read(&bytes[..], bytes.len() as u64, |one| {
        if removals.limit(&one.id, one.version) > NOW && one.expires_at > NOW {
            saved.push(one);
        }
    });
    let Ok(head) = read else { return };
    let ids: Vec<_> = saved.iter().map(|one| one.id).collect();
    let version = ((head.version.max(removals.version) >> VERSION_GAP_BITS) + 1) << VERSION_GAP_BITS;
    let table = Table::new(Bounds::new(2, 1 << 20), version, None, NOW);
    let evicted = table.restore(saved);
    assert!(evicted <= ids.len() as u64 && table.shared.occupancy.sessions() <= 2);
    for id in &ids {
        if let Some(stored) = table.load(id, NOW).expect("it is open") {
            assert!(stored.expires_at > crate::clock::from_millis(NOW));
        }
    }
    let _ = table.sweep_step(0, u64::MAX, &crate::events::Observers::default());
}
