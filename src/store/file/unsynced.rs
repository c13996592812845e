//! Marks the shards whose visible changes may not be on the disk.
//!
//! A change whose name must last is made in four steps: mark the shard, change the directory, sync it, clear the mark.
//! If the sync fails, or the process is killed before it, the mark stays. The mark is the length of the shard's lock
//! file: 1 instead of 0, which is a hole and needs no space on a full disk. The mark outlives the process, and every
//! process sees it. It need not outlive a power cut: after one, everything that is visible is on the disk.
//!
//! - A writer that finds the mark syncs the directory before it does anything else ([`Disk::settle`]).
//! - A reader answers only if it finds no mark, or has synced the directory itself ([`Disk::vouch`]). It checks after
//!   it has read: if the mark was cleared in between, what it read is on the disk.
//!
//! Syncing a directory again is enough: ext4, XFS and btrfs write names through a journal or a tree that is committed
//! in order, and they stop if that fails. So a later sync that succeeds covers what an earlier one did not. The
//! *content* of a file is different: the kernel forgets what it could not write, and the next sync succeeds without it.
//! A file whose sync failed is therefore written anew, never synced again.

use std::{
    fs::{self, File},
    io,
};

use super::{FileStoreError, disk::Disk, layout::Layout, locks::Locks, locks::Shards, platform::DirHandle};
use crate::{id::SessionId, store::StoreErrorKind};

/// The length of a lock file with the mark.
const MARK: u64 = 1;
const NO_MARK: u64 = 0;

/// A change to a directory that is under way. Its shard is marked.
pub(super) struct Unsynced<'a> {
    dir: DirHandle,
    lock: &'a File,
}

/// The directory, opened before the change, so that a failure to open it leaves everything as it was.
pub(super) struct Ready(DirHandle);

impl Ready {
    /// Marks the shard. Make the change after this.
    pub(super) fn mark<'a>(self, disk: &Disk, locks: &'a Locks, shard: u8) -> Result<Unsynced<'a>, FileStoreError> {
        let lock = locks.file(shard);
        lock.set_len(MARK).map_err(|error| FileStoreError::io("write", disk.layout.lock(shard), error))?;
        Ok(Unsynced { dir: self.0, lock })
    }
}

impl Unsynced<'_> {
    /// Syncs the change. If that fails, the mark stays: the change is visible, but may not last.
    pub(super) fn sync(self, path: &std::path::Path) -> Result<(), FileStoreError> {
        self.dir.sync().map_err(|error| {
            FileStoreError::io("sync the directory of", path, error).of_kind(StoreErrorKind::OutcomeUnknown)
        })?;
        clear(self.lock);
        Ok(())
    }

    /// Clears the mark. Call this if the change was not made.
    pub(super) fn cancel(self) {
        clear(self.lock);
    }
}

/// Clears the mark. If that fails, a later call syncs once more than needed.
fn clear(lock: &File) {
    let _ = lock.set_len(NO_MARK);
}

fn is_marked(lock: &fs::Metadata) -> bool {
    lock.len() != NO_MARK
}

impl Disk {
    /// Opens a shard's directory before a change, if the change has to be synced.
    pub(super) fn prepare(&self, shard: u8, ends_session: bool) -> Result<Option<Ready>, FileStoreError> {
        if !self.durability.syncs_dirs(ends_session) {
            return Ok(None);
        }
        let path = self.layout.shard(shard);
        let dir = DirHandle::open(&path).map_err(|error| FileStoreError::io("open", path, error))?;
        Ok(Some(Ready(dir)))
    }

    /// Syncs what earlier calls, of this process or another, have changed in the locked shards and not synced.
    pub(super) fn settle(&self, locks: &Locks) -> Result<(), FileStoreError> {
        if !self.durability.syncs_files() {
            return Ok(());
        }
        for shard in Shards::iter(&locks.shards()) {
            self.layout.keep_shard(shard)?;
            let lock = locks.file(shard);
            let metadata =
                lock.metadata().map_err(|error| FileStoreError::io("look at", self.layout.lock(shard), error))?;
            if is_marked(&metadata) {
                self.sync_shard(shard)?;
                clear(lock);
            }
        }
        Ok(())
    }

    /// Makes sure that what was just read in a shard is on the disk, as far as the durability promises it.
    pub(super) fn vouch(&self, shard: u8) -> Result<(), FileStoreError> {
        if !self.durability.syncs_files() {
            return Ok(());
        }
        let path = self.layout.lock(shard);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if is_marked(&metadata) => {}
            Ok(_) => return Ok(()),
            // Without a lock file, nothing was ever written here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(FileStoreError::io("look at", path, error)),
        }
        self.sync_shard(shard)?;
        // The mark is cleared, so that the next reader need not sync again. The mark of a writer at work is left to
        // that writer.
        if let Ok(Some(locks)) = Locks::try_once(&self.layout, Shards::one(shard)) {
            self.settle(&locks)?;
        }
        Ok(())
    }

    /// As [`vouch`](Self::vouch), for what was read under this id.
    pub(super) fn vouch_for(&self, id: &SessionId) -> Result<(), FileStoreError> {
        self.vouch(Layout::shard_of(id))
    }

    /// Syncs the names in a shard. A missing shard has none.
    pub(super) fn sync_shard(&self, shard: u8) -> Result<(), FileStoreError> {
        let path = self.layout.shard(shard);
        match DirHandle::open(&path).and_then(|dir| dir.sync()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileStoreError::io("sync", path, error)),
            _ => Ok(()),
        }
    }
}
