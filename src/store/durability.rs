//! What survives a power cut.

/// Sets which changes to a store in files, `FileStore` or an SQLite file of `SqlStore`, survive a power cut or a crash of
/// the operating system.
///
/// A crash of the *process* loses no acknowledged change, whatever the setting: the change is then in the operating
/// system's cache.
///
/// With `Data`, a power cut may set a session back to an earlier complete state, but never undoes a logout. With `None`,
/// it may do both. A lost touch only ends the session earlier.
///
/// # SQLite
///
/// | | commit with a removal, renewal or revocation | any other commit |
/// |---|---|---|
/// | `None` | `synchronous=OFF` | `synchronous=OFF` |
/// | `Data` | `synchronous=FULL` | `synchronous=NORMAL` |
/// | `Full` | `synchronous=FULL` | `synchronous=FULL` |
///
/// The file is in WAL mode: unless the durability is `None`, a power cut loses at most the newest commits and damages
/// nothing.
///
/// # The file store
///
/// | | write of a session | removal, renewal, revocation | touch |
/// |---|---|---|---|
/// | `None` | write, rename | unlink | set the times |
/// | `Data` | write, fsync, rename | the same, then fsync of the directory | set the times |
/// | `Full` | write, fsync, rename, fsync of the directory | as with `Data` | set the times, fsync |
///
/// With `None`, a power cut may leave a file without content, which then counts as damaged.
///
/// ## If a sync fails
///
/// With `Data` and `Full`, **a change that was not synced as the table says is not acknowledged by any call**:
///
/// - The call whose sync fails returns `OutcomeUnknown`: its change is visible, but a power cut may undo it.
/// - Until a later sync has succeeded, every call that would show or build on the change syncs first, and fails with
///   `Unavailable` if it can't. Examples are a read-back, a second remove, a listing, a renewal and an epoch. This
///   holds for calls of this process and of others, and after a crash of the process. It affects only the 1/256 of the
///   sessions that are in the same shard.
/// - A file whose own sync fails never replaces the old one. If a [`flush`](crate::SessionStore::flush) fails, the next
///   one writes the file anew: the kernel forgets content that it could not write, so a second sync of the same file
///   proves nothing.
/// - A touch whose sync fails (`Full`) is undone.
///
/// Give all processes that share a directory the same durability: a process with `None` leaves no mark for its unsynced
/// changes. `flush` syncs everything that this process has written and not synced, except touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing is synced until [`flush`](crate::SessionStore::flush).
    None,
    /// Files are synced before they are renamed into place, and directories when a session ends.
    #[default]
    Data,
    /// Files and directories are synced before an operation returns.
    Full,
}

impl Durability {
    /// Whether a file is synced before it is renamed into place.
    #[cfg_attr(not(feature = "file"), allow(dead_code, reason = "the file store's"))]
    pub(super) const fn syncs_files(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether a directory is synced after a change. `ends_session` says whether the change may end a session.
    #[cfg_attr(not(feature = "file"), allow(dead_code, reason = "the file store's"))]
    pub(super) const fn syncs_dirs(self, ends_session: bool) -> bool {
        match self {
            Self::None => false,
            Self::Data => ends_session,
            Self::Full => true,
        }
    }

    /// Whether a touch is synced.
    #[cfg_attr(not(feature = "file"), allow(dead_code, reason = "the file store's"))]
    pub(super) const fn syncs_touches(self) -> bool {
        matches!(self, Self::Full)
    }
}
