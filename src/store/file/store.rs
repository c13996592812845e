//! The file store as the contract sees it.

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
        Clearing, Create, Cursor, End, Holder, Idle, Leases, Listing, Lock, Metadata, Owned, Owners, Page, Refresh,
        Rename, SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version,
        tasks::{Running, Tasks},
    },
};

/// How long a waiter for a lease waits before it asks again: another process does not wake it.
const LEASE_POLL: Duration = Duration::from_millis(50);

/// The shortest time between two sweeps.
const LEAST_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One durable file per session in a directory, which several processes of one machine can share.
///
/// For applications that must survive a restart with no server beside them. Clones share one store;
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
/// # What it promises
///
/// - **A reader takes no lock** and sees a whole old or a whole new record, whatever a writer does, is stopped or
///   killed in the middle of: a file is never changed, but replaced by rename.
/// - **Writers of all processes take turns**, by advisory locks on 256 lock files, each for a share of the sessions. A
///   process that dies leaves none. One that is stopped while it has one delays the writers of 1/256 of the sessions,
///   each until the [deadline](super::FileStoreBuilder::lock_deadline), and keeps no thread waiting.
/// - **Every call has a time limit**, the same deadline, measured by the caller's own timer. Several runtimes can share
///   the store, and it survives the end of the runtime that opened it.
/// - **A change that was not synced is not acknowledged**, as far as the [`Durability`](super::Durability) promises a
///   sync; its documentation says what happens if a sync fails.
/// - **A touch writes no content, and a sweep opens no file**: expiry and last use are the file's modification and access
///   time. Times that somebody else has set (a backup, a copy without `-p`) are recognised, and those of the last write
///   count.
/// - **Nothing that is no session is read as one**: links, devices, other users' files and files that were renamed are an
///   error for their id and left alone; other names are no concern of the store.
/// - **A damaged file** (a checksum is wrong) is `Corrupt` for its session and an event with the path. It is not
///   overwritten. It goes when the session is removed or would have expired; if even that can't be read in it, a week after
///   it was last changed.
/// - **A full, read-only or unmounted disk** is `Unavailable`, never "absent"; the old state stays, and it goes on when the
///   cause is gone. A directory that is emptied by hand while the store is open is an empty store.
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
/// Directories are made with mode 0700 and files with 0600, and all processes must run as one user. Values are not
/// encrypted. It has to be a local file system with locks and with times to the microsecond; opening checks both.
///
/// # Costs
///
/// A load opens and reads one file and, unless the durability is `None`, looks at the shard's lock file. An update
/// writes a file and renames it. A sweep, a count or a walk through the ids looks at every file's times. `delete_idle`
/// opens the files that seem idle. `list_owner` lists 1/256 of all marks of owners and opens the owner's sessions. A
/// lease is kept in the session's file: taking, extending and giving it back are one write each, as durable as all
/// others. `benches/file` compares the store with plain file operations.
///
/// # Systems
///
/// Tested on Linux (ext4, tmpfs). Other Unixes have no way to read a file without moving its access time: there, after the
/// first load the last use is worked out from the expiry, which is exact until the absolute limit caps it. On Windows,
/// NTFS times are fine enough, a rename replaces a file that readers have open (Windows 10 1809 on), and directories are not
/// synced, since NTFS journals names; rights are inherited from the directory. Neither was run.
///
/// # Events
///
/// The target is `session_layer::store::file`.
///
/// | level | events |
/// |---|---|
/// | trace | `loaded`, `refreshed` |
/// | debug | `opened`, `created`, `updated`, `touched`, `removed`, `ended`, `renamed`, `swept`, `lease asked for`, `lease given back` |
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
    /// Who is told of what is swept, and of damaged files.
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
    /// The directory, absolute.
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

    /// Makes sure that the task that sweeps runs, if there is to be one.
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
            self.inner.observers.tell(EventKind::NotOpened { id, operation, error: &error });
        }
        error
    }
}

/// Sweeps from time to time, as long as the store is there.
async fn sweep_often(store: Weak<Inner>, interval: Duration, _running: Running) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(inner) = store.upgrade() else { return };
        // An error has its event already. The next sweep tries again.
        let _ = FileStore { inner }.sweep_all("sweep", Sweep::Expired).await;
    }
}

/// Names operation and session, and tells the log of what failed.
fn report(error: StoreError, operation: &'static str, id: Option<&SessionId>) -> StoreError {
    let error = error.during(operation);
    let error = match id {
        Some(id) => error.on(id),
        None => error,
    };
    let cause = std::error::Error::source(&error).map(tracing::field::display);
    match error.kind() {
        // The damage itself has an event of its own, with the path.
        StoreErrorKind::TooLarge | StoreErrorKind::Timeout => {
            tracing::warn!(target: super::TARGET, operation, id = id.map(tracing::field::display), cause, "{error}");
        }
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
    async fn list_owner(&self, owner: &str) -> Result<Vec<Owned>, StoreError> {
        let name = owner.to_owned();
        let owned = self.read("list_owner", None, move |disk| owners::list(disk, &name)).await?;
        let owner = SessionId::of_owner(owner);
        for id in owned.stale {
            let work = move |disk: &Disk, locks: &Locks| Ok(owners::unmark_stale(disk, locks, &owner, &id)?);
            self.write("list_owner", &id, work).await?;
        }
        Ok(owned.sessions.into_iter().map(|(id, stored)| Owned::new(id).with_stored(stored)).collect())
    }
}

#[async_trait]
impl Leases for FileStore {
    async fn lock(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Lock, StoreError> {
        // It dies with this future: a call that comes to its turn later takes no lease that nobody would give back.
        let caller = Arc::new(());
        let (key, waiting) = (*id, Arc::downgrade(&caller));
        let work = move |disk: &Disk, locks: &Locks| disk.lock(locks, &key, holder, time, &waiting);
        let outcome = self.write("lock", id, work).await;
        drop(caller);
        let outcome = outcome?;
        tracing::debug!(target: super::TARGET, %id, ?outcome, "lease asked for");
        Ok(outcome)
    }

    async fn unlock(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let key = *id;
        let had = self.write("unlock", id, move |disk, locks| disk.unlock(locks, &key, holder)).await?;
        self.inner.pool.release(Layout::shard_of(id));
        tracing::debug!(target: super::TARGET, %id, had, "lease given back");
        Ok(had)
    }

    async fn unlocked(&self, id: &SessionId, at_most: Duration) {
        self.inner.pool.released(Layout::shard_of(id), at_most.min(LEASE_POLL)).await;
    }
}
