//! The marks of owners' sessions: an empty file for each session that has an owner.
//!
//! A mark is created before the session's file names the owner, and removed after the file no longer does. So every
//! session of an owner has a mark. A mark is stale if its session is gone or has another owner. A crash can leave stale
//! marks. They are ignored, and removed when the owner's sessions are listed.

use std::{fs, io};

use super::{FileStoreError, disk::Disk, found::Found, layout::Layout, locks::Locks, platform};
use crate::{
    id::SessionId,
    store::{StoreError, Stored},
};

/// Creates a mark. Returns `true` if it did not exist.
pub(super) fn mark(disk: &Disk, owner: &SessionId, id: &SessionId) -> Result<bool, FileStoreError> {
    let path = disk.layout.owner_mark(owner, id);
    let mut options = platform::private_file();
    options.create_new(true);
    let created = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.layout.restore_owner_shard(owner)?;
            options.open(&path)
        }
        other => other,
    };
    let is_new = match created {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(FileStoreError::io("create", path, error)),
    };
    disk.dirty.marked(disk.durability, owner);
    // Logins are rare, so they can wait for a sync of the mark even if other writes don't. An existing mark is synced,
    // too, since the process that created it may have failed to sync it.
    if disk.durability.syncs_files() {
        disk.layout.keep_owner_shard(owner)?;
        sync_marks(disk, Layout::shard_of(owner))?;
    }
    Ok(is_new)
}

/// Syncs the marks in a shard of owners. A missing shard has none.
pub(super) fn sync_marks(disk: &Disk, shard: u8) -> Result<(), FileStoreError> {
    let dir = disk.layout.owners_in(shard);
    match platform::DirHandle::open(&dir).and_then(|handle| handle.sync()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileStoreError::io("sync", dir, error)),
        _ => Ok(()),
    }
}

/// Removes a mark. If that fails, the mark is stale and harmless.
pub(super) fn unmark(disk: &Disk, owner: &SessionId, id: &SessionId) {
    let _ = fs::remove_file(disk.layout.owner_mark(owner, id));
}

/// Removes a mark if it is stale.
pub(super) fn unmark_stale(
    disk: &Disk,
    locks: &Locks,
    owner: &SessionId,
    id: &SessionId,
) -> Result<(), FileStoreError> {
    locks.assert_hold(Layout::shard_of(id));
    match disk.find(id)? {
        Found::Live(held) if held.header.owner == Some(*owner) => {}
        Found::Damaged(_) => {}
        Found::Live(_) | Found::Expired(_) | Found::Absent => unmark(disk, owner, id),
    }
    Ok(())
}

/// The sessions in an owner's marks.
#[derive(Default)]
pub(super) struct Owned {
    /// The live sessions.
    pub(super) sessions: Vec<(SessionId, Stored)>,
    /// The ids whose mark is stale.
    pub(super) stale: Vec<SessionId>,
}

/// Returns the live sessions of an owner, and the ids with a stale mark.
pub(super) fn list(disk: &Disk, name: &str) -> Result<Owned, StoreError> {
    let owner = SessionId::for_epoch(name);
    let mut owned = Owned::default();
    for id in marked(disk, &owner)? {
        let found = disk.find(&id)?;
        disk.vouch_for(&id)?;
        match found {
            Found::Live(held) if held.header.owner == Some(owner) => {
                let stored = held.stored(&id)?;
                // Names with equal hashes can't practically be found, but only an equal name counts.
                if stored.record.owner().is_some_and(|owner| **owner.name() == *name) {
                    owned.sessions.push((id, stored));
                }
            }
            // It may be this owner's session. It is logged, and the others are listed.
            Found::Damaged(damaged) => drop(damaged.report(&id)),
            Found::Live(_) | Found::Expired(_) | Found::Absent => owned.stale.push(id),
        }
    }
    Ok(owned)
}

fn marked(disk: &Disk, owner: &SessionId) -> Result<Vec<SessionId>, FileStoreError> {
    let dir = disk.layout.owner_shard(owner);
    let failed = |error| FileStoreError::io("list", &dir, error);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return disk.layout.confirm().map(|()| Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let prefix = format!("{owner}.");
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        ids.extend(name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<SessionId>().ok()));
    }
    Ok(ids)
}
