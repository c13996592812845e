//! One session's file: put in place whole, touched, and unlinked. Everything here blocks.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::{
    Durability, FileStoreError,
    content::{self, Header},
    dirty::Dirty,
    found::Held,
    layout::Layout,
    locks::Locks,
    owners, platform, times,
};
use crate::{
    clock::{self, Clock},
    id::SessionId,
    record::RecordKind,
    store::StoreErrorKind,
};

/// The directory with how it is used.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) layout: Layout,
    pub(super) durability: Durability,
    pub(super) clock: Clock,
    pub(super) dirty: Dirty,
}

impl Disk {
    pub(super) fn now(&self) -> u64 {
        clock::to_millis(self.clock.now())
    }

    /// Puts a session's file in place: whole, or not at all. `was` is the owner of the state before.
    pub(super) fn put(
        &self,
        locks: &Locks,
        id: &SessionId,
        (header, kind, record): (&Header, RecordKind, &[u8]),
        was: Option<SessionId>,
        ends_session: bool,
    ) -> Result<(), FileStoreError> {
        let marked = match header.owner {
            Some(owner) if was != header.owner => owners::mark(self, &owner, id)?.then_some(owner),
            _ => None,
        };
        let outcome = self.replace(locks, id, (header, kind, record), ends_session);
        match (&outcome, was) {
            (Ok(()), Some(was)) if header.owner != Some(was) => owners::unmark(self, &was, id),
            (Err(error), _) if error.kind() != StoreErrorKind::OutcomeUnknown => {
                if let Some(owner) = marked {
                    owners::unmark(self, &owner, id);
                }
            }
            _ => {}
        }
        outcome
    }

    fn replace(
        &self,
        locks: &Locks,
        id: &SessionId,
        (header, kind, record): (&Header, RecordKind, &[u8]),
        ends_session: bool,
    ) -> Result<(), FileStoreError> {
        let shard = Layout::shard_of(id);
        locks.assert_hold(shard);
        let bytes = content::encode(id, header, record);
        let (path, temporary) = (self.layout.session(id), self.layout.temporary(shard));
        if bytes.len() as u64 > content::MAX_FILE_BYTES {
            let found = format!("it would have {} bytes; {} is the most", bytes.len(), content::MAX_FILE_BYTES);
            return Err(FileStoreError::found(StoreErrorKind::TooLarge, "write", path, found));
        }
        // What can fail is done before the rename, which is the moment at which the state changes.
        let dir = self.dir_to_sync(shard, ends_session)?;
        let written = self.write_temporary(&temporary, &bytes, (header, kind));
        let renamed = written
            .and_then(|()| fs::rename(&temporary, &path).map_err(|error| FileStoreError::io("replace", &path, error)));
        if let Err(error) = renamed {
            // If this fails too, the next writer in the shard, or a sweep, removes it.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        self.dirty.wrote(self.durability, id);
        sync(dir, &path)
    }

    fn write_temporary(
        &self,
        path: &Path,
        bytes: &[u8],
        (header, kind): (&Header, RecordKind),
    ) -> Result<(), FileStoreError> {
        let mut options = platform::private_file();
        // `create_new` follows no link and takes over no file of anybody.
        options.create_new(true);
        let mut file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // We hold the lock, so whoever wrote this is dead.
                fs::remove_file(path).and_then(|()| options.open(path))
            }
            other => other,
        }
        .map_err(|error| FileStoreError::io("create", path, error))?;
        file.write_all(bytes).map_err(|error| FileStoreError::io("write", path, error))?;
        times::write(&file, kind, header.used, header.expires)
            .map_err(|error| FileStoreError::io("set the times of", path, error))?;
        if self.durability.syncs_files() {
            platform::sync_file(&file).map_err(|error| FileStoreError::io("sync", path, error))?;
        }
        Ok(())
    }

    /// Moves last use and expiry in place.
    pub(super) fn set_times(&self, id: &SessionId, held: &Held, used: u64, expires: u64) -> Result<(), FileStoreError> {
        let path = self.layout.session(id);
        times::write(&held.file, held.kind, used, expires)
            .map_err(|error| FileStoreError::io("set the times of", &path, error))?;
        if self.durability.syncs_touches() {
            platform::sync_file(&held.file)
                .map_err(|error| FileStoreError::io("sync", &path, error).of_kind(StoreErrorKind::OutcomeUnknown))?;
        }
        Ok(())
    }

    /// Removes a session's file and the mark of its owner.
    pub(super) fn unlink(&self, locks: &Locks, id: &SessionId, owner: Option<SessionId>) -> Result<(), FileStoreError> {
        let shard = Layout::shard_of(id);
        let dir = self.dir_to_sync(shard, true)?;
        self.unlink_unsynced(locks, id, owner)?;
        sync(dir, &self.layout.session(id))
    }

    /// The same where a sync comes later, or isn't needed since what is removed has expired.
    pub(super) fn unlink_unsynced(
        &self,
        locks: &Locks,
        id: &SessionId,
        owner: Option<SessionId>,
    ) -> Result<(), FileStoreError> {
        let shard = Layout::shard_of(id);
        locks.assert_hold(shard);
        let path = self.layout.session(id);
        match fs::remove_file(&path) {
            Ok(()) => {}
            // Removed by hand, or with the whole directory: it is gone, as it should be.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileStoreError::io("remove", path, error)),
        }
        self.dirty.removed(self.durability, id);
        if let Some(owner) = owner {
            owners::unmark(self, &owner, id);
        }
        Ok(())
    }

    /// The shard's directory, if a change in it has to be synced.
    pub(super) fn dir_to_sync(
        &self,
        shard: u8,
        ends_session: bool,
    ) -> Result<Option<platform::DirHandle>, FileStoreError> {
        if !self.durability.syncs_dirs(ends_session) {
            return Ok(None);
        }
        let path = self.layout.shard(shard);
        let dir = platform::DirHandle::open(&path).map_err(|error| FileStoreError::io("open", path, error))?;
        Ok(Some(dir))
    }
}

/// Syncs a directory after the change: it has happened, but may not last.
pub(super) fn sync(dir: Option<platform::DirHandle>, path: &Path) -> Result<(), FileStoreError> {
    dir.map_or(Ok(()), |dir| dir.sync()).map_err(|error| {
        FileStoreError::io("sync the directory of", path, error).of_kind(StoreErrorKind::OutcomeUnknown)
    })
}
