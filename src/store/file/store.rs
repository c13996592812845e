//! The file store, and how its calls get to the blocking threads.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    disk::Disk,
    layout::Layout,
    locks::{Locks, Shards},
    pool::Pool,
    walk::Sweep,
};
use crate::{
    events::{EventKind, Observers},
    id::SessionId,
    store::{
        StoreError, StoreErrorKind,
        background_tasks::{Running, Tasks},
    },
};

/// The shortest time between two sweeps.
const LEAST_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A session store with one durable file per session, in a directory that several processes of one machine can share.
///
/// It is for applications whose sessions must survive a restart without a separate server. Clones share one store.
/// [`FileStoreBuilder`](super::FileStoreBuilder) has the settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = std::env::temp_dir().join(format!("session-layer-doc-{}", std::process::id()));
/// use session_layer::{FileStore, SessionStore, store::Listing};
///
/// let store = FileStore::create(&dir).await?;
/// assert_eq!(store.count().await?, 0);
/// store.close().await?;
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees
///
/// - **Readers take no lock.** A reader sees the old or the new record, and always a complete one, even if a writer is
///   stopped or killed in the middle of a change: a file is never changed in place, but replaced by rename.
/// - **Writers of all processes exclude each other** by advisory locks on 256 lock files, each for a share of the
///   sessions. A process that dies leaves no lock. A process that is stopped while it holds a lock delays the writers
///   of 1/256 of the sessions, each until the [deadline](super::FileStoreBuilder::lock_deadline), and keeps no thread
///   waiting.
/// - **Every call has a time limit**, the same deadline, measured by the caller's own timer. Several runtimes can share
///   the store, and it survives the end of the runtime that opened it.
/// - **A change that was not synced is not acknowledged**, as far as the [`Durability`](crate::store::Durability) promises a
///   sync. Its documentation says what happens if a sync fails.
/// - **A touch writes no content, and a sweep opens only files that it removes**: expiry and last use are the file's
///   modification and access time. Times that another program has set (a backup, a copy without `-p`) are recognised,
///   and those of the last write are used instead.
/// - **Only a session's own file is read as that session.** Links, devices, other users' files and files that were
///   renamed are an error for their id, and are left alone. Files with other names are ignored.
/// - **A damaged file** (a checksum is wrong) is a `Corrupt` error for its session, and is logged with its path. It is
///   not overwritten. It is removed when the session is removed or would have expired. If its expiry can't be read
///   either, it is removed a week after its last change.
/// - **A full, read-only or unmounted disk** is an `Unavailable` error, and never makes a session absent. The old state
///   stays, and the store works again when the cause is gone. A directory that is emptied by hand while the store is
///   open is an empty store.
///
/// # The directory
///
/// ```text
/// DIR/ab/abcdef01-2345-8789-8abc-def012345678   a session: its id, and by its first two characters one of 256 shards
/// DIR/ab/lock                                   the shard's lock; leave it there while a process runs. It is one byte
///                                               long while a change in the shard is not synced
/// DIR/ab/tmp                                    what is being written
/// DIR/owners/cd/<hash of owner>.<id>            an empty file: this session is this owner's
/// ```
///
/// Directories are created with mode 0700 and files with 0600, and all processes must run as one user. Values are not
/// encrypted. The directory must be on a local file system with locks and with times exact to the microsecond. Opening
/// the store checks both.
///
/// # Costs
///
/// A load opens and reads one file and, unless the durability is `None`, looks at the shard's lock file. An update
/// writes a file and renames it. A sweep, a count or a walk through the ids looks at every file's times. `delete_idle`
/// opens the files that seem idle. `list_owner` lists 1/256 of all marks of owners and opens the owner's sessions. A
/// lease is kept in the session's file: taking, extending and releasing it are one write each, as durable as all
/// others. `benches/file` compares the store with plain file operations.
///
/// # Systems
///
/// The store is tested on Linux (ext4, tmpfs). Other Unix systems can't read a file without moving its access time.
/// There, after the first load, the last use is derived from the expiry, which is exact until the absolute limit caps
/// the expiry. On Windows, NTFS times are exact enough, a rename replaces a file that readers have open (Windows 10
/// 1809 and later), directories are not synced, since NTFS journals names, and permissions are inherited from the
/// directory. The store was not run on these systems.
///
/// # Events
///
/// The target is `session_layer::store::file`.
///
/// | level | events |
/// |---|---|
/// | trace | `loaded`, `refreshed` |
/// | debug | `opened`, `created`, `updated`, `touched`, `removed`, `ended`, `renamed`, `swept` |
/// | debug | `lease requested`, `lease released` |
/// | info | `conflict`, `exists` and `gone`, with the operation |
/// | warn | a timeout; a record that is too large; a directory that other users can look into |
/// | error | `damaged session file`, with the path; any other failure, with operation, id and cause |
#[derive(Clone)]
pub struct FileStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) disk: Arc<Disk>,
    pub(super) pool: Pool,
    /// The observers of sweeps and of damaged files.
    pub(super) observers: Observers,
    pub(super) tasks: Tasks,
    /// `None` if no task sweeps.
    sweep_interval: Option<Duration>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl FileStore {
    /// Returns the store's directory as an absolute path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.inner.disk.layout.root()
    }

    pub(super) fn assemble(disk: Disk, pool: Pool, sweep_interval: Option<Duration>, observers: Observers) -> Self {
        let store = Self {
            inner: Arc::new(Inner {
                disk: Arc::new(disk),
                pool,
                observers: observers.of(super::events::NAME),
                tasks: Tasks::default(),
                sweep_interval: sweep_interval.map(|interval| interval.max(LEAST_SWEEP_INTERVAL)),
            }),
        };
        store.keep_swept();
        store
    }

    /// Makes sure that the sweeping task runs, unless sweeping is turned off.
    fn keep_swept(&self) {
        let Inner { tasks, sweep_interval: Some(interval), .. } = &*self.inner else { return };
        tasks.start(|runtime, running| {
            let sweeping = sweep_often(Arc::downgrade(&self.inner), *interval, running.clone());
            vec![runtime.spawn(sweeping).abort_handle()]
        });
    }

    /// Returns the directory, after making sure that the sweeper runs.
    pub(super) fn disk(&self) -> &Arc<Disk> {
        self.keep_swept();
        &self.inner.disk
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: Option<&SessionId>,
        work: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let disk = Arc::clone(self.disk());
        let outcome = self.inner.pool.read(move || work(&disk)).await;
        outcome.map_err(|error| self.report(error, operation, id))
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: &SessionId,
        work: impl FnOnce(&Disk, &Locks) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_shards(operation, Some(id), Shards::one(Layout::shard_of(id)), work).await
    }

    pub(super) async fn write_shards<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: Option<&SessionId>,
        shards: Shards,
        work: impl FnOnce(&Disk, &Locks) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let disk = Arc::clone(self.disk());
        let outcome = self.inner.pool.write(Arc::clone(&disk), shards, move |locks| work(&disk, locks)).await;
        outcome.map_err(|error| self.report(error, operation, id))
    }

    fn report(&self, error: StoreError, operation: &'static str, id: Option<&SessionId>) -> StoreError {
        let error = report(error, operation, id);
        if let (StoreErrorKind::Corrupt, Some(id)) = (error.kind(), error.id()) {
            self.inner.observers.notify(EventKind::NotOpened { id, operation, error: &error });
        }
        error
    }
}

/// Sweeps at every interval until the store is dropped.
async fn sweep_often(store: Weak<Inner>, interval: Duration, _running: Running) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(inner) = store.upgrade() else { return };
        // The error is logged already. The next sweep tries again.
        let _ = FileStore { inner }.sweep_all("sweep", Sweep::Expired).await;
    }
}

/// Adds the operation and the session to an error, and logs it.
pub(super) fn report(error: StoreError, operation: &'static str, id: Option<&SessionId>) -> StoreError {
    let error = error.during(operation);
    let error = match id {
        Some(id) => error.on(id),
        None => error,
    };
    let cause = std::error::Error::source(&error).map(tracing::field::display);
    match error.kind() {
        StoreErrorKind::TooLarge | StoreErrorKind::Timeout => {
            tracing::warn!(target: super::events::TARGET, operation, id = id.map(tracing::field::display), cause, "{error}");
        }
        // A damaged file is also logged by `Damaged::report`, with its path.
        _ => {
            tracing::error!(target: super::events::TARGET, operation, id = id.map(tracing::field::display), cause, "{error}")
        }
    }
    error
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("dir", &self.dir())
            .field("durability", &self.inner.disk.durability)
            .finish_non_exhaustive()
    }
}
