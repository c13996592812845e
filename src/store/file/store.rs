//! The file store's implementation of the contract.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{
    disk::Disk,
    layout::Layout,
    locks::{Locks, Shards},
    owners,
    pool::Pool,
    walk::Sweep,
};
use crate::{
    events::{EventKind, Observers},
    id::SessionId,
    record::Record,
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, Owners, Page,
        Refresh, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version,
        tasks::{Running, Tasks},
    },
};

/// How long a waiter for a lease waits before it tries again, since a release in another process does not wake it.
const LEASE_POLL: Duration = Duration::from_millis(50);

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
/// - **A change that was not synced is not acknowledged**, as far as the [`Durability`](super::Durability) promises a
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
/// | debug | `lease asked for`, `lease given back` |
/// | info | `conflict`, `exists` and `gone`, with the operation |
/// | warn | a timeout; a record that is too large; a directory that other users can look into |
/// | error | `damaged session file`, with the path; any other failure, with operation, id and cause |
#[derive(Clone)]
pub struct FileStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    disk: Arc<Disk>,
    pub(super) pool: Pool,
    /// The observers of sweeps and of damaged files.
    pub(super) observers: Observers,
    tasks: Tasks,
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
                observers: observers.of(super::NAME),
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

    async fn write<T: Send + 'static>(
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
fn report(error: StoreError, operation: &'static str, id: Option<&SessionId>) -> StoreError {
    let error = error.during(operation);
    let error = match id {
        Some(id) => error.on(id),
        None => error,
    };
    let cause = std::error::Error::source(&error).map(tracing::field::display);
    match error.kind() {
        StoreErrorKind::TooLarge | StoreErrorKind::Timeout => {
            tracing::warn!(target: super::TARGET, operation, id = id.map(tracing::field::display), cause, "{error}");
        }
        // A damaged file is also logged by `Damaged::report`, with its path.
        _ => tracing::error!(target: super::TARGET, operation, id = id.map(tracing::field::display), cause, "{error}"),
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

impl SessionStore for FileStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let key = *id;
        let stored = self.read("load", Some(id), move |disk| disk.load(&key)).await?;
        tracing::trace!(target: super::TARGET, %id, found = stored.is_some(), "loaded");
        Ok(stored)
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let (key, record) = (*id, Arc::clone(record));
        let outcome = self.write("create", id, move |disk, locks| disk.create(locks, &key, &record, usage)).await?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: super::TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: super::TARGET, %id, operation = "create", "exists"),
        }
        Ok(outcome)
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let (key, record, expected) = (*id, Arc::clone(record), *expected);
        let outcome =
            self.write("update", id, move |disk, locks| disk.update(locks, &key, &record, &expected, usage)).await?;
        match outcome {
            Update::Updated(_) => tracing::debug!(target: super::TARGET, %id, "updated"),
            Update::Conflict(_) => tracing::info!(target: super::TARGET, %id, operation = "update", "conflict"),
            Update::Gone => tracing::info!(target: super::TARGET, %id, operation = "update", "gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let key = *id;
        let outcome = self.write("touch", id, move |disk, locks| disk.touch(locks, &key, usage)).await?;
        match outcome {
            Touch::Touched => tracing::debug!(target: super::TARGET, %id, "touched"),
            Touch::Gone => tracing::info!(target: super::TARGET, %id, operation = "touch", "gone"),
        }
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let key = *id;
        let removed = self.write("remove", id, move |disk, locks| disk.remove(locks, &key)).await?;
        self.inner.pool.release(Layout::shard_of(id));
        tracing::debug!(target: super::TARGET, %id, was_there = removed, "removed");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let (key, expected) = (*id, *expected);
        let outcome = self.write("end", id, move |disk, locks| disk.end(locks, &key, &expected)).await?;
        match outcome {
            End::Ended => {
                self.inner.pool.release(Layout::shard_of(id));
                tracing::debug!(target: super::TARGET, %id, "ended");
            }
            End::Conflict(_) => tracing::info!(target: super::TARGET, %id, operation = "end", "conflict"),
            End::Gone => tracing::info!(target: super::TARGET, %id, operation = "end", "gone"),
        }
        Ok(outcome)
    }

    async fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let (old, new, expected) = (*from, *to, *expected);
        let (tombstone, record) = (Arc::clone(tombstone), Arc::clone(record));
        let shards = Shards::both(Layout::shard_of(from), Layout::shard_of(to));
        let work =
            move |disk: &Disk, locks: &Locks| disk.rename(locks, (&old, &new), &expected, (&tombstone, &record), usage);
        let outcome = self.write_shards("rename", Some(from), shards, work).await?;
        match outcome {
            Rename::Renamed(_) => {
                self.inner.pool.release(Layout::shard_of(from));
                tracing::debug!(target: super::TARGET, id = %from, %to, "renamed");
            }
            Rename::Conflict(_) => tracing::info!(target: super::TARGET, id = %from, operation = "rename", "conflict"),
            Rename::Gone => tracing::info!(target: super::TARGET, id = %from, operation = "rename", "gone"),
            Rename::Exists => tracing::info!(target: super::TARGET, id = %to, operation = "rename", "exists"),
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let (key, known) = (*id, held.version);
        let outcome = self.read("refresh", Some(id), move |disk| disk.refresh(&key, &known)).await?;
        tracing::trace!(target: super::TARGET, %id, same = matches!(outcome, Refresh::Same { .. }), "refreshed");
        Ok(outcome)
    }

    fn name(&self) -> &'static str {
        super::NAME
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let key = *id;
        self.read("metadata", Some(id), move |disk| disk.metadata(&key)).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.flush_all(false).await.map_err(|error| report(error, "flush", None))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.tasks.stop();
        let drained = self.inner.pool.drain().await;
        let outcome = self.flush_all(true).await;
        let outcome = outcome.and_then(|()| match drained {
            true => Ok(()),
            false => Err(StoreError::new(StoreErrorKind::Timeout).because("a blocking call has not ended")),
        });
        outcome.map_err(|error| report(error, "close", None))
    }
}

#[async_trait]
impl Listing for FileStore {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        self.read("ids", None, move |disk| disk.page(from, limit)).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let (mut count, mut next) = (0, Some(0));
        while let Some(first) = next {
            let looked = self.read("count", None, move |disk| disk.look_on(first, Sweep::Expired)).await?;
            count += looked.shards.iter().map(|(_, found)| found.remaining).sum::<u64>();
            next = looked.next;
        }
        Ok(count)
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.sweep_all("sweep", Sweep::Expired).await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.sweep_all("delete_idle", Sweep::Idle(idle, self.inner.disk.now())).await
    }
}

#[async_trait]
impl Clearing for FileStore {
    async fn clear(&self) -> Result<u64, StoreError> {
        Ok(self.sweep_all("clear", Sweep::All).await?.deleted)
    }
}

#[async_trait]
impl Owners for FileStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let name = owner.to_owned();
        let owned = self.read("list_owner", None, move |disk| owners::list(disk, &name)).await?;
        let owner = SessionId::for_epoch(owner);
        for id in owned.stale {
            let work = move |disk: &Disk, locks: &Locks| Ok(owners::unmark_stale(disk, locks, &owner, &id)?);
            self.write("list_owner", &id, work).await?;
        }
        Ok(owned.sessions.into_iter().map(|(id, stored)| ListedSession::new(id).with_stored(stored)).collect())
    }
}

#[async_trait]
impl Leases for FileStore {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        // Dropped with this future. If the call gets its turn later than that, it takes no lease, since nobody would
        // release it.
        let caller = Arc::new(());
        let (key, waiting) = (*id, Arc::downgrade(&caller));
        let work = move |disk: &Disk, locks: &Locks| disk.acquire(locks, &key, holder, time, &waiting);
        let outcome = self.write("acquire", id, work).await;
        drop(caller);
        let outcome = outcome?;
        tracing::debug!(target: super::TARGET, %id, ?outcome, "lease asked for");
        Ok(outcome)
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let key = *id;
        let had = self.write("release", id, move |disk, locks| disk.release(locks, &key, holder)).await?;
        self.inner.pool.release(Layout::shard_of(id));
        tracing::debug!(target: super::TARGET, %id, had, "lease given back");
        Ok(had)
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        self.inner.pool.released(Layout::shard_of(id), at_most.min(LEASE_POLL)).await;
    }
}
