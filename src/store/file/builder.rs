//! Settings of a file store.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Durability, FileStore, FileStoreError, dirty::Dirty, disk::Disk, layout::Layout, pool::Pool};
use crate::{
    clock::Clock,
    events::{Observer, Observers},
};

/// Settings of a [`FileStore`].
///
/// ```no_run
/// # async fn example() -> Result<(), session_layer::FileStoreError> {
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
    sweep_every: Option<Duration>,
    clock: Clock,
    observers: Observers,
}

impl FileStoreBuilder {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            durability: Durability::default(),
            blocking_calls: 32,
            lock_deadline: Duration::from_secs(5),
            sweep_every: Some(Duration::from_secs(300)),
            clock: Clock::system(),
            observers: Observers::NONE,
        }
    }

    /// What survives a power cut. By default [`Durability::Data`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many blocking calls run at once, 32 by default and at least 1: each takes a thread of the runtime's and at
    /// most four open files. Further ones wait, without a thread.
    pub fn blocking_calls(mut self, calls: u16) -> Self {
        self.blocking_calls = calls;
        self
    }

    /// How long a call waits for its turn, for a lock that another process has, or for a stalled disk; 5 seconds by
    /// default. Then it is a `Timeout`, and nothing is changed.
    pub fn lock_deadline(mut self, deadline: Duration) -> Self {
        self.lock_deadline = deadline;
        self
    }

    /// How often a task removes what has expired: every 300 seconds by default. `None` leaves it to others, such as a
    /// cron job; a session is absent from its expiry on all the same.
    pub fn sweep_every(mut self, interval: Option<Duration>) -> Self {
        self.sweep_every = interval;
        self
    }

    /// Where the time is read. By default from the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells an observer of what the store does by itself: what a sweep has found expired, how many sessions it leaves,
    /// and files that hold no record. Called again, it adds one. Default: nobody is told.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Opens the store in a directory that is there.
    ///
    /// # Errors
    ///
    /// As [`FileStore::open`].
    pub async fn open(self) -> Result<FileStore, FileStoreError> {
        self.build(false).await
    }

    /// Opens the store, and makes the directory and its parents if they are missing.
    ///
    /// # Errors
    ///
    /// As [`FileStore::create`].
    pub async fn create(self) -> Result<FileStore, FileStoreError> {
        self.build(true).await
    }

    async fn build(self, create: bool) -> Result<FileStore, FileStoreError> {
        let Self { dir, durability, blocking_calls, lock_deadline, sweep_every, clock, observers } = self;
        let path = dir.clone();
        let opened = tokio::task::spawn_blocking(move || Layout::open(&path, create, durability.syncs_files())).await;
        let layout = opened
            .unwrap_or_else(|error| Err(FileStoreError::io("open the directory", &dir, io::Error::other(error))))?;
        tracing::debug!(target: super::TARGET, dir = %layout.root().display(), ?durability, "opened");
        let disk = Disk { layout, durability, clock, dirty: Dirty::new() };
        Ok(FileStore::assemble(disk, Pool::new(blocking_calls, lock_deadline), sweep_every, observers))
    }
}
