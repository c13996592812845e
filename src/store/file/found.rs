//! Reads and classifies the file for an id. Everything here blocks.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    FileStoreError,
    content::{self, Header},
    disk::Disk,
    platform,
    times::{self, Expiry},
};
use crate::{
    clock,
    id::SessionId,
    record::{Record, RecordKind},
    store::{StoreError, StoreErrorKind, Stored, Usage, Version},
};

/// How long after its last change a damaged file is kept if its own expiry can't be read: a week.
const DAMAGED_KEPT_MILLIS: u64 = 7 * 24 * 3_600 * 1_000;

/// The file for an id.
pub(super) enum Found {
    Absent,
    /// An expired session, with its owner if that can be read.
    Expired(Option<SessionId>),
    Live(Held),
    /// A file of this store that contains no valid record.
    Damaged(Damaged),
}

/// A live session's file, completely read and valid.
pub(super) struct Held {
    pub(super) file: File,
    bytes: Vec<u8>,
    pub(super) header: Header,
    pub(super) used: u64,
    pub(super) expires: u64,
    pub(super) kind: RecordKind,
}

/// A file of this store that contains no valid record. It is kept until `expires`.
pub(super) struct Damaged {
    pub(super) error: FileStoreError,
    pub(super) used: u64,
    pub(super) expires: u64,
}

impl Damaged {
    /// Logs the damage and returns the error, for all operations but removal. The file stays as it is.
    pub(super) fn report(self, id: &SessionId) -> StoreError {
        tracing::error!(target: super::events::TARGET, %id, error = %self.error, "damaged session file");
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
    /// Reads the file for an id. Takes no lock, since a file is replaced as a whole and never changed in place.
    pub(super) fn find(&self, id: &SessionId) -> Result<Found, FileStoreError> {
        let path = self.layout.session(id);
        let Some((mut file, metadata)) = self.open(&path)? else { return Ok(Found::Absent) };
        let times = times::read(&metadata);
        let now = self.now();
        let Some(length) = usize::try_from(metadata.len()).ok().filter(|_| metadata.len() <= content::MAX_FILE_BYTES)
        else {
            return Ok(damaged(&path, &metadata, &[], "it is too large", now));
        };
        // A session's file is never changed, so its length is known. If something truncates it meanwhile, it counts as
        // damaged.
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
        // If another program has read the file and so set the access time, the last use is derived from the expiry: a
        // touch moves both by the same amount, up to the limit.
        let used = times.used.unwrap_or(header.used.saturating_add(expires.saturating_sub(header.expires)));
        Ok(Found::Live(Held { file, bytes, header, used, expires, kind }))
    }

    /// Returns the usage of a session that still has the version that the caller knows. Returns `None` if the whole
    /// file must be read.
    pub(super) fn peek(&self, id: &SessionId, known: &Version) -> Result<Option<Usage>, FileStoreError> {
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

    /// Opens a regular file of this store's user. Returns `None` if there is no file. Anything else in its place is an
    /// error, and is left alone.
    fn open(&self, path: &Path) -> Result<Option<(File, Metadata)>, FileStoreError> {
        let opened = platform::reading().open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.layout.confirm().map(|()| None),
            Err(error) => {
                // A link, a socket and another user's file each fail with another error.
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

    /// Returns why the store can't use something with a session's name, or `None` if it is a regular file of the
    /// store's user.
    pub(super) fn foreign(&self, metadata: &Metadata) -> Option<&'static str> {
        if metadata.is_symlink() {
            Some("a symbolic link is in its place")
        } else if !metadata.is_file() {
            Some("something other than a regular file is in its place")
        } else if !self.layout.is_ours(metadata) {
            Some("a file of another user is in its place")
        } else {
            None
        }
    }
}

fn foreign(path: &Path, what: &str) -> FileStoreError {
    FileStoreError::found(StoreErrorKind::Corrupt, "use", path, what).advise("move it away; it is left as it is")
}

/// Classifies a damaged file. It is kept as long as its session would have lived, as far as that is known.
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
