//! One session's file: found, put in place whole, and unlinked. Everything here blocks.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use super::{
    Durability, FileStoreError,
    content::{self, Header},
    dirty::Dirty,
    layout::Layout,
    locks::Locks,
    owners, platform,
    times::{self, Expiry},
};
use crate::{
    clock::{self, Clock},
    id::SessionId,
    record::{Record, RecordKind},
    store::{StoreError, StoreErrorKind, Stored, Usage},
};

/// How long a damaged file is kept whose own expiry can't be known, after it was last changed: a week.
const DAMAGED_KEPT_MILLIS: u64 = 7 * 24 * 3_600 * 1_000;

/// The directory with how it is used.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) layout: Layout,
    pub(super) durability: Durability,
    pub(super) clock: Clock,
    pub(super) dirty: Dirty,
}

/// What is under an id.
pub(super) enum Found {
    Absent,
    /// A session that has expired, with its owner as far as it can be known.
    Expired(Option<SessionId>),
    Live(Held),
    /// A file of ours that holds no record.
    Damaged(Damaged),
}

/// A live session's file, read whole and found sound.
pub(super) struct Held {
    file: File,
    bytes: Vec<u8>,
    pub(super) header: Header,
    pub(super) used: u64,
    pub(super) expires: u64,
    pub(super) kind: RecordKind,
}

/// A file of ours that holds no record, and until when it is kept.
pub(super) struct Damaged {
    pub(super) error: FileStoreError,
    pub(super) used: u64,
    pub(super) expires: u64,
}

impl Damaged {
    /// The error of every operation but removing: the file stays as it is.
    pub(super) fn report(self, id: &SessionId) -> StoreError {
        tracing::error!(target: super::TARGET, %id, error = %self.error, "damaged session file");
        self.error.into()
    }
}

impl Held {
    pub(super) fn record_bytes(&self) -> &[u8] {
        &self.bytes[content::HEADER_BYTES..]
    }

    pub(super) fn stored(&self, id: &SessionId) -> Result<Stored, StoreError> {
        let record = Record::from_bytes(self.record_bytes())
            .map_err(|error| StoreError::new(StoreErrorKind::Corrupt).on(id).because(error))?;
        let usage = Usage { used_at: clock::from_millis(self.used), expires_at: clock::from_millis(self.expires) };
        Ok(Stored::new(Arc::new(record), self.header.version(), usage))
    }
}

impl Disk {
    pub(super) fn now(&self) -> u64 {
        clock::to_millis(self.clock.now())
    }

    /// Reads what is under an id, whole. Takes no lock: a file is replaced as a whole, and never changed.
    pub(super) fn find(&self, id: &SessionId) -> Result<Found, FileStoreError> {
        let path = self.layout.session(id);
        let Some((mut file, metadata)) = self.open(&path)? else { return Ok(Found::Absent) };
        let times = times::read(&metadata);
        let now = self.now();
        let Some(length) = usize::try_from(metadata.len()).ok().filter(|_| metadata.len() <= content::MAX_FILE_BYTES)
        else {
            return Ok(damaged(&path, &metadata, &[], "it is too large", now));
        };
        // A session's file is never changed, so its length is known; if somebody cuts it just now, it is damaged.
        let mut bytes = vec![0; length];
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes.clear(),
            Err(error) => return Err(FileStoreError::io("read", &path, error)),
        }
        let (header, record) = match content::decode(id, &bytes) {
            Ok(decoded) => decoded,
            Err(what) => return Ok(damaged(&path, &metadata, &bytes, what, now)),
        };
        let kind = match times.expiry {
            Expiry::At(_, kind) | Expiry::Far(kind) => kind,
            Expiry::Foreign => match Record::from_bytes(record) {
                Ok(record) => record.kind(),
                Err(error) => return Ok(damaged(&path, &metadata, &bytes, &error.to_string(), now)),
            },
        };
        let expires = match times.expiry {
            Expiry::At(expires, _) => expires.min(header.limit),
            Expiry::Far(_) | Expiry::Foreign => header.expires,
        };
        if expires <= now {
            return Ok(Found::Expired(header.owner));
        }
        // Somebody has read the file and so set the access time: a touch moves both by the same, up to the limit.
        let used = times.used.unwrap_or(header.used.saturating_add(expires.saturating_sub(header.expires)));
        Ok(Found::Live(Held { file, bytes, header, used, expires, kind }))
    }

    /// The usage of a session that is still in the state that the caller knows; `None` if it has to be read.
    pub(super) fn peek(&self, id: &SessionId, known: &crate::store::Version) -> Result<Option<Usage>, FileStoreError> {
        let path = self.layout.session(id);
        let Some((mut file, metadata)) = self.open(&path)? else { return Ok(None) };
        let times = times::read(&metadata);
        let mut head = [0; content::HEADER_BYTES];
        let (Some(used), Expiry::At(expires, _), Ok(())) = (times.used, times.expiry, file.read_exact(&mut head))
        else {
            return Ok(None);
        };
        let Ok(header) = content::read_header(&head) else { return Ok(None) };
        if header.version() != *known || expires.min(header.limit) <= self.now() {
            return Ok(None);
        }
        let expires_at = clock::from_millis(expires.min(header.limit));
        Ok(Some(Usage { used_at: clock::from_millis(used), expires_at }))
    }

    /// Opens a regular file of ours; `None` if nothing is there. Anything else in its place is an error, and stays.
    fn open(&self, path: &Path) -> Result<Option<(File, Metadata)>, FileStoreError> {
        let opened = platform::reading().open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.layout.confirm().map(|()| None),
            Err(error) => {
                // A link, a socket, another user's file: each refuses in a way of its own.
                return Err(match fs::symlink_metadata(path) {
                    Ok(metadata) => match self.foreign(&metadata) {
                        Some(what) => foreign(path, what),
                        None => FileStoreError::io("open", path, error),
                    },
                    Err(_) => FileStoreError::io("open", path, error),
                });
            }
        };
        match self.foreign(&metadata) {
            Some(what) => Err(foreign(path, what)),
            None => Ok(Some((file, metadata))),
        }
    }

    /// Why something with a session's name is none of ours.
    pub(super) fn foreign(&self, metadata: &Metadata) -> Option<&'static str> {
        if metadata.is_symlink() {
            Some("a symbolic link is in its place")
        } else if !metadata.is_file() {
            Some("something that is no regular file is in its place")
        } else if !self.layout.is_ours(metadata) {
            Some("a file of another user is in its place")
        } else {
            None
        }
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

fn foreign(path: &Path, what: &str) -> FileStoreError {
    FileStoreError::found(StoreErrorKind::Corrupt, "use", path, what).advise("move it away; it is left as it is")
}

/// A damaged file is kept as long as its session would have lived, as far as that can be known.
fn damaged(path: &Path, metadata: &Metadata, bytes: &[u8], what: &str, now: u64) -> Found {
    let changed = metadata.modified().map_or(now, clock::to_millis);
    let header = content::read_header(bytes).ok();
    let expires = match times::read(metadata).expiry {
        Expiry::At(expires, _) => expires,
        Expiry::Far(_) | Expiry::Foreign => {
            header.map_or(changed.saturating_add(DAMAGED_KEPT_MILLIS), |header| header.expires)
        }
    };
    let used = times::read(metadata).used.or(header.map(|header| header.used)).unwrap_or(changed);
    if expires <= now {
        return Found::Expired(None);
    }
    let error = FileStoreError::found(StoreErrorKind::Corrupt, "read", path, what)
        .advise("it stays as it is until the session is removed or would have expired");
    Found::Damaged(Damaged { error, used, expires })
}
