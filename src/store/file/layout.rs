//! The paths in the store's directory, and the check that it is still the directory that was opened.
//!
//! ```text
//! DIR/ab/abcdef01-2345-8789-8abc-def012345678   a session, in one of 256 shards by its id's first byte
//! DIR/ab/lock                                   the shard's lock file; its length says whether something is unsynced
//! DIR/ab/tmp                                    what is being written; only the holder of the lock has one
//! DIR/owners/cd/<hash of owner>.<id>            empty: this session may be this owner's
//! ```
//!
//! All other files are left alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{FileStoreError, platform};
use crate::{id::SessionId, store::StoreErrorKind};

/// The number of shards. Each has its own lock.
pub(super) const SHARDS: usize = 256;

const LOCK: &str = "lock";
pub(super) const TEMPORARY: &str = "tmp";
const OWNERS: &str = "owners";

/// The directory as an absolute path, and its properties when it was opened.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
    device: u64,
    user: u32,
    /// Whether the shards' names are synced.
    durable: bool,
    /// The shards whose own names are known to be on the disk.
    kept: Kept,
}

/// The shards whose own names are known to be on the disk, for sessions and for owners.
#[derive(Debug)]
struct Kept {
    shards: [AtomicBool; SHARDS],
    owners: [AtomicBool; SHARDS],
}

impl Layout {
    /// Opens the directory, and checks everything that later operations rely on.
    pub(super) fn open(dir: &Path, create: bool, durable: bool) -> Result<Self, FileStoreError> {
        let failed = |error| FileStoreError::io("open the directory", dir, error);
        if create {
            platform::make_private_dir(dir, true)
                .or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) })
                .map_err(|error| FileStoreError::io("create the directory", dir, error))?;
            if durable {
                sync_parents(dir)?;
            }
        }
        let root = fs::canonicalize(dir).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                failed(error).advise("make it, or let `FileStore::create` (instead of `open`) make it")
            }
            _ => failed(error),
        })?;
        let metadata = fs::metadata(&root).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()).advise("it is a file, not a directory"));
        }
        fs::read_dir(&root).map_err(|error| FileStoreError::io("list the directory", &root, error))?;
        let user = try_writing(&root)?;
        let unknown = || [const { AtomicBool::new(false) }; SHARDS];
        let kept = Kept { shards: unknown(), owners: unknown() };
        let layout = Self { device: platform::device(&metadata), user, durable, kept, root };
        layout.check_user()?;
        let shards = layout.check_shards()?;
        if durable {
            // A process may have created the shards and died before it synced them. This also shows whether directories
            // can be synced here.
            layout.sync_dir(&layout.root)?;
            layout.sync_dir(&layout.path(&[OWNERS]))?;
            shards.iter().for_each(|shard| layout.kept.shards[usize::from(*shard)].store(true, Ordering::Release));
        }
        if platform::open_to_others(&metadata) {
            tracing::warn!(target: super::events::TARGET, dir = %layout.root.display(),
                "other users have access to the file store's directory; run chmod 700 on it");
        }
        Ok(layout)
    }

    /// Checks that the store belongs to this user. Processes that share a directory must run as one user, since the
    /// files of one user could not be opened by another's.
    fn check_user(&self) -> Result<(), FileStoreError> {
        let owners = self.root.join(OWNERS);
        make_private(&owners)?;
        let theirs = fs::symlink_metadata(&owners).map_err(|error| FileStoreError::io("open", &owners, error))?;
        if platform::user(&theirs) != self.user {
            let found = format!(
                "it belongs to the user number {}, and this process is number {}",
                platform::user(&theirs),
                self.user
            );
            return Err(FileStoreError::found(StoreErrorKind::Unavailable, "use", owners, found)
                .advise("run every process that uses the store as the same user"));
        }
        Ok(())
    }

    /// Returns the shards that exist. A shard that is a symbolic link is refused, since it would lead elsewhere.
    fn check_shards(&self) -> Result<Vec<u8>, FileStoreError> {
        let mut shards = Vec::new();
        for shard in 0..=u8::MAX {
            let path = self.shard(shard);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => shards.push(shard),
                Ok(_) => return Err(no_directory(&path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(FileStoreError::io("open the directory", path, error)),
            }
        }
        Ok(shards)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn shard_of(id: &SessionId) -> u8 {
        id.as_bytes()[0]
    }

    pub(super) fn shard(&self, shard: u8) -> PathBuf {
        self.path(&[&format!("{shard:02x}")])
    }

    pub(super) fn lock(&self, shard: u8) -> PathBuf {
        self.path(&[&format!("{shard:02x}"), LOCK])
    }

    pub(super) fn temporary(&self, shard: u8) -> PathBuf {
        self.path(&[&format!("{shard:02x}"), TEMPORARY])
    }

    /// The one place where an id becomes a file name: 36 characters of lower-case hexadecimal digits and hyphens.
    pub(super) fn session(&self, id: &SessionId) -> PathBuf {
        self.path(&[&format!("{:02x}", Self::shard_of(id)), &id.to_string()])
    }

    pub(super) fn owner_shard(&self, owner: &SessionId) -> PathBuf {
        self.owners_in(Self::shard_of(owner))
    }

    pub(super) fn owners_in(&self, shard: u8) -> PathBuf {
        self.path(&[OWNERS, &format!("{shard:02x}")])
    }

    pub(super) fn owner_mark(&self, owner: &SessionId, id: &SessionId) -> PathBuf {
        self.owner_shard(owner).join(format!("{owner}.{id}"))
    }

    /// Returns the id whose file has this name in this shard, or `None` for every other file.
    pub(super) fn id_of(shard: u8, name: &std::ffi::OsStr) -> Option<SessionId> {
        let id: SessionId = name.to_str()?.parse().ok()?;
        (Self::shard_of(&id) == shard).then_some(id)
    }

    /// Whether a file belongs to the store's user.
    pub(super) fn is_ours(&self, metadata: &fs::Metadata) -> bool {
        platform::user(metadata) == self.user
    }

    /// Checks that the directory is still the one that was opened. If the directory or its file system is gone, a
    /// missing file does not mean that the session is absent.
    pub(super) fn confirm(&self) -> Result<(), FileStoreError> {
        let metadata = fs::metadata(&self.root).map_err(|error| {
            FileStoreError::io("find the directory", &self.root, error).advise("restore it; the store then continues")
        })?;
        if platform::device(&metadata) != self.device || !metadata.is_dir() {
            let found = "another file system is there than when the store was opened";
            return Err(FileStoreError::found(StoreErrorKind::Unavailable, "use the directory", &self.root, found)
                .advise("mount the right one, or open the store again"));
        }
        Ok(())
    }

    /// Creates a missing shard, if the root directory exists. The shard's name is on the disk only after
    /// [`keep_shard`](Self::keep_shard) has synced it.
    pub(super) fn restore_shard(&self, shard: u8) -> Result<(), FileStoreError> {
        self.confirm()?;
        self.kept.shards[usize::from(shard)].store(false, Ordering::Release);
        make_private(&self.shard(shard)).map(drop)
    }

    /// As [`restore_shard`](Self::restore_shard), for a shard of owners and
    /// [`keep_owner_shard`](Self::keep_owner_shard).
    pub(super) fn restore_owner_shard(&self, owner: &SessionId) -> Result<(), FileStoreError> {
        self.confirm()?;
        if make_private(&self.path(&[OWNERS]))? {
            self.kept.owners.iter().for_each(|kept| kept.store(false, Ordering::Release));
        }
        self.kept.owners[usize::from(Self::shard_of(owner))].store(false, Ordering::Release);
        make_private(&self.owner_shard(owner)).map(drop)
    }

    /// Makes sure that a shard's own name is on the disk. Otherwise a power cut could remove the whole shard. The name
    /// counts as synced only after a sync has succeeded, no matter which process created the shard.
    pub(super) fn keep_shard(&self, shard: u8) -> Result<(), FileStoreError> {
        self.keep(&self.kept.shards[usize::from(shard)], &[&self.root])
    }

    /// As [`keep_shard`](Self::keep_shard), for a shard of owners.
    pub(super) fn keep_owner_shard(&self, owner: &SessionId) -> Result<(), FileStoreError> {
        let owners = self.path(&[OWNERS]);
        self.keep(&self.kept.owners[usize::from(Self::shard_of(owner))], &[&self.root, &owners])
    }

    fn keep(&self, kept: &AtomicBool, dirs: &[&Path]) -> Result<(), FileStoreError> {
        if !self.durable || kept.load(Ordering::Acquire) {
            return Ok(());
        }
        dirs.iter().try_for_each(|dir| self.sync_dir(dir))?;
        kept.store(true, Ordering::Release);
        Ok(())
    }

    /// Syncs the shards' names.
    pub(super) fn sync_shards(&self) -> Result<(), FileStoreError> {
        self.sync_dir(&self.root)?;
        self.sync_dir(&self.path(&[OWNERS]))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FileStoreError> {
        platform::DirHandle::open(dir)
            .and_then(|dir| dir.sync())
            .map_err(|error| FileStoreError::io("sync the directory", dir, error))
    }

    fn path(&self, names: &[&str]) -> PathBuf {
        let length = names.iter().map(|name| name.len() + 1).sum::<usize>();
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + length);
        path.push(&self.root);
        path.extend(names);
        path
    }
}

/// Creates a directory that only this user can read. Returns `true` if it was created and `false` if it exists already.
/// Fails if something else is in its place, such as a link.
fn make_private(path: &Path) -> Result<bool, FileStoreError> {
    match platform::make_private_dir(path, false) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(FileStoreError::io("create the directory", path, error)),
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(false),
        Ok(_) => Err(no_directory(path)),
        Err(error) => Err(FileStoreError::io("open the directory", path, error)),
    }
}

/// Syncs the names of the directory and its parents, some of which may be new. Parents on another file system, and
/// parents that this user may not read, existed before.
fn sync_parents(dir: &Path) -> Result<(), FileStoreError> {
    let failed = |path: &Path, error| FileStoreError::io("sync the directory", path, error);
    let dir = fs::canonicalize(dir).map_err(|error| failed(dir, error))?;
    let device = platform::device(&fs::metadata(&dir).map_err(|error| failed(&dir, error))?);
    for parent in dir.ancestors().skip(1) {
        if fs::metadata(parent).map_or(device, |metadata| platform::device(&metadata)) != device {
            break;
        }
        match platform::DirHandle::open(parent) {
            Ok(handle) => handle.sync().map_err(|error| failed(parent, error))?,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(failed(parent, error)),
        }
    }
    Ok(())
}

fn no_directory(path: &Path) -> FileStoreError {
    let found = "something other than a directory is in its place";
    FileStoreError::found(StoreErrorKind::Unavailable, "use", path, found).advise("move it away")
}

/// Creates a file and removes it again, to check that this is possible and that times and locks work. Returns the
/// file's user.
fn try_writing(root: &Path) -> Result<u32, FileStoreError> {
    let random = crate::id::random_u64()
        .map_err(|error| FileStoreError::io("open the directory", root, io::Error::other(error)))?;
    let path = root.join(format!("probe-{random:016x}"));
    let failed = |error| FileStoreError::io("write to the directory", root, error);
    let file = platform::private_file().create_new(true).open(&path).map_err(failed)?;
    let outcome = (|| {
        if !super::times::are_kept(&file).map_err(failed)? {
            let found =
                "its file system's times are too coarse: expiries are stored as file times and need microseconds";
            return Err(FileStoreError::found(StoreErrorKind::Unavailable, "use the directory", root, found)
                .advise("choose one on another file system"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(failed(io::ErrorKind::WouldBlock.into())),
            Err(fs::TryLockError::Error(error)) => {
                return Err(FileStoreError::io("lock a file in", root, error)
                    .advise("choose a directory on a file system that has locks"));
            }
        }
        Ok(platform::user(&file.metadata().map_err(failed)?))
    })();
    drop(file);
    // The file is removed even after an error.
    let removed = fs::remove_file(&path).map_err(failed);
    let user = outcome?;
    removed?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id can't leave its shard, and no other name is read as a session.
    #[test]
    fn file_names_come_from_ids_only() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path(), false, false).unwrap();
        for bytes in [[0; 16], [0xff; 16], *b"../../etc/passwd", *b"\0/..\\..//C:\\NUL."] {
            let id = SessionId::from_uuid(uuid::Uuid::from_bytes(bytes));
            let path = layout.session(&id);
            assert_eq!(path.parent().unwrap().parent().unwrap(), layout.root());
            let name = path.file_name().unwrap();
            assert!(name.to_str().unwrap().bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
            assert_eq!(Layout::id_of(Layout::shard_of(&id), name), Some(id));
            assert_eq!(Layout::id_of(Layout::shard_of(&id) ^ 1, name), None);
        }
        for name in ["lock", "tmp", "", ".", "..", "00000000", "00000000-0000-8000-8000-00000000000G"] {
            assert_eq!(Layout::id_of(0, name.as_ref()), None, "{name}");
        }
        let upper = "ABCDEF01-2345-8789-8ABC-DEF012345678";
        assert_eq!(Layout::id_of(0xab, upper.as_ref()), None);
        assert!(Layout::id_of(0xab, upper.to_lowercase().as_ref()).is_some());
    }

    #[test]
    fn opening_leaves_no_probe() {
        let dir = tempfile::tempdir().unwrap();
        Layout::open(dir.path(), false, false).unwrap();
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["owners"]);
    }
}
