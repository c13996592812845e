//! Flushing: syncs the unsynced changes of this process, in many short calls.

use std::io;

use super::{
    FileStoreError,
    dirty::{DirtyFile, ToSync},
    disk::Disk,
    layout::Layout,
    locks::{Locks, Shards},
    owners, platform,
    store::FileStore,
};
use crate::{
    id::SessionId,
    store::{StoreError, StoreErrorKind},
};

/// How many files or directories one call syncs.
const AT_ONCE: usize = 32;

/// How often the lock is tried for a file that must be written anew.
const TRIES: u32 = 200;

/// The progress of a flush.
#[derive(Debug)]
pub(super) struct Flush {
    left: ToSync,
    /// Shards in which every file must be synced.
    whole: Vec<u8>,
    /// The files of those shards.
    others: Vec<SessionId>,
    all: Option<u64>,
    is_rooted: bool,
}

impl FileStore {
    /// Syncs all unsynced changes. Each step has the time limit of a call. After `close` no other calls run, so the
    /// steps need no place among them.
    pub(super) async fn flush_all(&self, is_closing: bool) -> Result<(), StoreError> {
        let disk = self.disk();
        let mut flush = Some(Flush::of(disk));
        while let Some(mut next) = flush {
            let disk = std::sync::Arc::clone(disk);
            let work = move || Ok(if disk.flush_some(&mut next)? { None } else { Some(next) });
            let step = if is_closing { self.inner.pool.beside(work).await } else { self.inner.pool.read(work).await };
            flush = step?;
        }
        Ok(())
    }
}

impl Flush {
    fn of(disk: &Disk) -> Self {
        let left = disk.dirty.to_sync();
        let whole = left.all.map(|_| left.shards.iter().map(|(shard, _)| *shard).collect()).unwrap_or_default();
        Self {
            all: left.all,
            whole,
            others: Vec::new(),
            is_rooted: left.shards.is_empty() && left.owners.is_empty(),
            left,
        }
    }
}

impl Disk {
    /// Continues a flush: first the files, then the names that lead to them. Returns `true` when it is done.
    fn flush_some(&self, flush: &mut Flush) -> Result<bool, StoreError> {
        let ToSync { files, shards, owners, .. } = &mut flush.left;
        for _ in 0..AT_ONCE {
            if let Some((id, unsynced)) = files.pop() {
                self.sync_session(&id, Some(unsynced))?;
            } else if let Some(id) = flush.others.pop() {
                self.sync_session(&id, None)?;
            } else if let Some(shard) = flush.whole.pop() {
                flush.others = self.ids_in(shard)?;
            } else if let Some(number) = flush.all.take() {
                self.dirty.synced_all(number);
            } else if let Some((shard, number)) = owners.pop() {
                owners::sync_marks(self, shard)?;
                self.dirty.synced_owners(shard, number);
            } else if let Some((shard, number)) = shards.pop() {
                // The shards' own names are in the root directory.
                if !flush.is_rooted {
                    self.layout.sync_shards()?;
                    flush.is_rooted = true;
                }
                self.sync_shard(shard)?;
                self.dirty.synced_shard(shard, number);
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Syncs a session's file. A file whose sync has failed before is written anew.
    fn sync_session(&self, id: &SessionId, unsynced: Option<DirtyFile>) -> Result<(), StoreError> {
        if !unsynced.is_some_and(|unsynced| unsynced.is_lost) {
            let path = self.layout.session(id);
            match platform::reading().open(&path).and_then(|file| platform::sync_file(&file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.dirty.lost_file(id);
                    return Err(FileStoreError::io("sync", path, error).into());
                }
                _ => {}
            }
        } else {
            self.write_anew(&self.lock_for(id)?, id)?;
            self.dirty.changed(id);
            self.sync_shard(Layout::shard_of(id))?;
        }
        unsynced.into_iter().for_each(|unsynced| self.dirty.synced_file(id, unsynced));
        Ok(())
    }

    fn lock_for(&self, id: &SessionId) -> Result<Locks, StoreError> {
        let shard = Layout::shard_of(id);
        for _ in 0..TRIES {
            if let Some(locks) = Locks::try_take(&self.layout, Shards::one(shard))? {
                return Ok(locks);
            }
        }
        let found = "another writer holds it";
        Err(FileStoreError::found(StoreErrorKind::Timeout, "get the lock", self.layout.lock(shard), found).into())
    }
}
