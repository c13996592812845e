//! Replaces, touches and unlinks one session's file. Everything here blocks.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::{
    FileStoreError,
    content::{self, Header},
    disk::Disk,
    found::{Found, Held},
    layout::Layout,
    locks::Locks,
    owners, platform, times,
    unsynced::Unsynced,
};
use crate::{id::SessionId, record::RecordKind, store::StoreErrorKind};

impl Disk {
    /// Writes a session's file, completely or not at all. `was` is the owner before the write.
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
            let found = format!("it would have {} bytes; the limit is {}", bytes.len(), content::MAX_FILE_BYTES);
            return Err(FileStoreError::found(StoreErrorKind::TooLarge, "write", path, found));
        }
        // Steps that can fail come before the rename, which changes the state. Only the sync of the directory follows
        // it.
        let ready = self.prepare(shard, ends_session)?;
        let replaced = self.write_temporary(&temporary, &bytes, (header, kind), self.durability.syncs_files());
        let replaced = replaced.and_then(|()| {
            let unsynced = ready.map(|ready| ready.mark(self, locks, shard)).transpose()?;
            match fs::rename(&temporary, &path) {
                Ok(()) => Ok(unsynced),
                Err(error) => {
                    unsynced.into_iter().for_each(Unsynced::cancel);
                    Err(FileStoreError::io("replace", &path, error))
                }
            }
        });
        match replaced {
            Ok(unsynced) => {
                self.dirty.wrote(self.durability, id);
                unsynced.map_or(Ok(()), |unsynced| unsynced.sync(&path))
            }
            Err(error) => {
                // If this fails too, the next writer in the shard or a sweep removes the file.
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Writes a session to a new file. The kernel forgets content that it could not write, so syncing the old file
    /// again would prove nothing.
    pub(super) fn write_anew(&self, locks: &Locks, id: &SessionId) -> Result<(), FileStoreError> {
        let held = match self.find(id)? {
            Found::Live(held) => held,
            Found::Damaged(damaged) => return Err(damaged.error),
            Found::Absent | Found::Expired(_) => return Ok(()),
        };
        let shard = Layout::shard_of(id);
        locks.assert_hold(shard);
        let header = held.header.with_usage(held.used, held.expires);
        let (path, temporary) = (self.layout.session(id), self.layout.temporary(shard));
        let bytes = content::encode(id, &header, held.record_bytes());
        let written = self.write_temporary(&temporary, &bytes, (&header, held.kind), true);
        written
            .and_then(|()| fs::rename(&temporary, &path).map_err(|error| FileStoreError::io("replace", &path, error)))
            .inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    fn write_temporary(
        &self,
        path: &Path,
        bytes: &[u8],
        (header, kind): (&Header, RecordKind),
        sync: bool,
    ) -> Result<(), FileStoreError> {
        let mut options = platform::private_file();
        // `create_new` follows no link and opens no existing file.
        options.create_new(true);
        let mut file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // This call holds the lock, so the process that wrote this is dead.
                fs::remove_file(path).and_then(|()| options.open(path))
            }
            other => other,
        }
        .map_err(|error| FileStoreError::io("create", path, error))?;
        file.write_all(bytes).map_err(|error| FileStoreError::io("write", path, error))?;
        times::write(&file, kind, header.used, header.expires)
            .map_err(|error| FileStoreError::io("set the times of", path, error))?;
        if sync {
            platform::sync_file(&file).map_err(|error| FileStoreError::io("sync", path, error))?;
        }
        Ok(())
    }

    /// Sets last use and expiry, without writing content.
    pub(super) fn set_times(&self, id: &SessionId, held: &Held, used: u64, expires: u64) -> Result<(), FileStoreError> {
        let path = self.layout.session(id);
        times::write(&held.file, held.kind, used, expires)
            .map_err(|error| FileStoreError::io("set the times of", &path, error))?;
        if self.durability.syncs_touches()
            && let Err(error) = platform::sync_file(&held.file)
        {
            // Restore the old times, since the new ones may not last. (After a crash, the disk may have either.)
            let _ = times::write(&held.file, held.kind, held.used, held.expires);
            return Err(FileStoreError::io("sync", &path, error).of_kind(StoreErrorKind::OutcomeUnknown));
        }
        Ok(())
    }

    /// Removes a session's file and the mark of its owner.
    pub(super) fn unlink(&self, locks: &Locks, id: &SessionId, owner: Option<SessionId>) -> Result<(), FileStoreError> {
        let shard = Layout::shard_of(id);
        let unsynced = self.prepare(shard, true)?.map(|ready| ready.mark(self, locks, shard)).transpose()?;
        if let Err(error) = self.unlink_unsynced(locks, id) {
            unsynced.into_iter().for_each(Unsynced::cancel);
            return Err(error);
        }
        unsynced.map_or(Ok(()), |unsynced| unsynced.sync(&self.layout.session(id)))?;
        if let Some(owner) = owner {
            owners::unmark(self, &owner, id);
        }
        Ok(())
    }

    /// Removes a session's file without a sync: the caller syncs later, or the session has expired. The owner's mark
    /// stays, since it must not be gone before the session is.
    pub(super) fn unlink_unsynced(&self, locks: &Locks, id: &SessionId) -> Result<(), FileStoreError> {
        let shard = Layout::shard_of(id);
        locks.assert_hold(shard);
        let path = self.layout.session(id);
        match fs::remove_file(&path) {
            Ok(()) => {}
            // The file was removed by hand, or with the whole directory. It is gone, as it should be.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileStoreError::io("remove", path, error)),
        }
        self.dirty.removed(self.durability, id);
        Ok(())
    }
}
