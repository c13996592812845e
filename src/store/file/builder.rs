//! The settings of a file store.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{FileStoreError, dirty::Dirty, disk::Disk, layout::Layout, pool::Pool, store::FileStore};
use crate::{
    clock::Clock,
    events::{Observer, Observers},
    store::Durability,
};

/// Configures a [`FileStore`].
///
/// ```no_run
/// # async fn example() -> Result<(), session_layer::store::FileStoreError> {
/// use session_layer::{Durability, FileStore};
///
/// let store = FileStore::builder("/var/lib/shop/sessions").durability(Durability::Full).create().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is opened"]
pub struct FileStoreBuilder {
    dir: PathBuf,
    durability: Durability,
    blocking_calls: u16,
    lock_deadline: Duration,
    sweep_interval: Option<Duration>,
    clock: Clock,
    observers: Observers,
}

impl FileStore {
    /// Opens the store in an existing directory, with the default settings.
    ///
    /// # Errors
    ///
    /// If the directory is missing, is a file, can't be read, written or (except with
    /// [`Durability::None`](crate::store::Durability)) synced, is on a file system without locks or exact times, does not
    /// answer in time, or belongs to another user's store. The error's text includes the operating system's reason,
    /// which is also its [`source`](std::error::Error::source).
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, FileStoreError> {
        Self::builder(dir).open().await
    }

    /// Opens the store like [`open`](Self::open), and creates the directory and its parents if they are missing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), or if the directory can't be created.
    pub async fn create(dir: impl AsRef<Path>) -> Result<Self, FileStoreError> {
        Self::builder(dir).create().await
    }

    /// Returns a builder with the default settings for a store in this directory.
    pub fn builder(dir: impl AsRef<Path>) -> FileStoreBuilder {
        FileStoreBuilder::new(dir.as_ref())
    }
}

impl FileStoreBuilder {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            durability: Durability::default(),
            blocking_calls: 32,
            lock_deadline: Duration::from_secs(5),
            sweep_interval: Some(Duration::from_secs(300)),
            clock: Clock::system(),
            observers: Observers::NONE,
        }
    }

    /// Sets what survives a power cut. Default: [`Durability::Data`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many blocking calls run at once. Default: 32; 0 counts as 1. Each uses a blocking thread of the caller's
    /// runtime and at most four open files. Further calls wait, without a thread.
    pub fn blocking_calls(mut self, calls: u16) -> Self {
        self.blocking_calls = calls;
        self
    }

    /// The time limit of each call. Default: 5 seconds; any duration is allowed.
    ///
    /// - If a call doesn't get its place among the [blocking calls](Self::blocking_calls), its turn or the shard's lock
    ///   in this time, it fails with `Timeout`. With zero it doesn't wait: it takes what is free, but not a lock that
    ///   was found taken within the last 16 milliseconds.
    /// - If a blocking thread or the disk doesn't answer in this time, or in one second if this is shorter, the call
    ///   fails. The error is `Timeout` if nothing was changed and never will be, and `OutcomeUnknown` if the change has
    ///   begun.
    /// - A limit of more than a hundred years, such as [`Duration::MAX`], counts as a hundred years.
    ///
    /// The limit is measured by the caller's own timer. So it holds even if the runtime that opened the store has
    /// ended, other callers are stuck, a hung disk blocks threads, or a process was stopped while it held a lock. The
    /// caller's runtime must have tokio's timer (`enable_time` or `enable_all`). An operation that looks at all
    /// sessions, such as a sweep, consists of many calls; opening the store is one call.
    pub fn lock_deadline(mut self, deadline: Duration) -> Self {
        self.lock_deadline = deadline;
        self
    }

    /// How often a task removes expired sessions. Default: every 300 seconds; at most once a second. With `None` there
    /// is no task, and a cron job can remove them. An expired session is absent in any case.
    ///
    /// The task runs in the runtime that opened the store. If that runtime has ended, the next call restarts the task
    /// in its own runtime.
    pub fn sweep_interval(mut self, interval: Option<Duration>) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// The clock for expiry and last use. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds an observer, to which the store reports what it does by itself: the expired sessions that a sweep has
    /// found, how many sessions the sweep has removed and left, and files that contain no record. Default: no observer.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Opens the store in an existing directory.
    ///
    /// # Errors
    ///
    /// As [`FileStore::open`].
    pub async fn open(self) -> Result<FileStore, FileStoreError> {
        self.build(false).await
    }

    /// Opens the store, and creates the directory and its parents if they are missing.
    ///
    /// # Errors
    ///
    /// As [`FileStore::create`].
    pub async fn create(self) -> Result<FileStore, FileStoreError> {
        self.build(true).await
    }

    async fn build(self, create: bool) -> Result<FileStore, FileStoreError> {
        let Self { dir, durability, blocking_calls, lock_deadline, sweep_interval, clock, observers } = self;
        let pool = Pool::new(blocking_calls, lock_deadline);
        let path = dir.clone();
        let open = move || Layout::open(&path, create, durability.syncs_files());
        let layout = pool.open(&dir, open).await?;
        tracing::debug!(target: super::events::TARGET, dir = %layout.root().display(), ?durability, "opened");
        let disk = Disk { layout, durability, clock, dirty: Dirty::new() };
        Ok(FileStore::assemble(disk, pool, sweep_interval, observers))
    }
}
