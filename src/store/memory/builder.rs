//! The settings of a memory store.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    background::Background,
    core::Core,
    error::MemoryOpenError,
    occupancy::Bounds,
    restore::{self, Restored},
    store::MemoryStore,
    table::Table,
};
use crate::{
    clock::Clock,
    events::{Observer, Observers},
};

/// The smallest byte limit. Below it, not even a few sessions fit.
const LEAST_BYTES: u64 = 64 * 1024;

/// The largest capacity. It is more than any machine holds, so a larger one is a mistake.
const MOST_SESSIONS: u64 = 1 << 32;

/// The settings of a [`MemoryStore`], created by [`MemoryStore::builder`].
///
/// ```
/// use std::time::Duration;
/// use session_layer::MemoryStore;
///
/// # let folder = std::env::temp_dir().join(format!("session-layer-doc-{}", std::process::id()));
/// let store = MemoryStore::builder()
///     .capacity(50_000)
///     .snapshot_path(folder.join("sessions"))
///     .snapshot_interval(Duration::from_secs(60))
///     .open()?;
/// println!("{} sessions restored", store.restored().sessions);
/// # drop(store);
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok::<(), session_layer::store::MemoryOpenError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open`"]
pub struct MemoryStoreBuilder {
    capacity: u64,
    bytes: u64,
    sweep_interval: Duration,
    snapshot_path: Option<PathBuf>,
    snapshot_interval: Option<Duration>,
    sync_removals: bool,
    move_damaged_aside: bool,
    longest_lease: Duration,
    close_timeout: Duration,
    clock: Clock,
    observers: Observers,
}

impl MemoryStore {
    /// Creates an empty store with the default settings: 100,000 sessions, 256 MiB, no snapshots.
    #[must_use]
    pub fn new() -> Self {
        MemoryStoreBuilder::default().plain()
    }

    /// Creates an empty store with the default settings and this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        MemoryStoreBuilder::default().clock(clock).plain()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for MemoryStoreBuilder {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            bytes: 256 << 20,
            sweep_interval: Duration::from_secs(60),
            snapshot_path: None,
            snapshot_interval: None,
            sync_removals: true,
            move_damaged_aside: false,
            longest_lease: Duration::from_secs(30),
            close_timeout: Duration::from_secs(30),
            clock: Clock::system(),
            observers: Observers::NONE,
        }
    }
}

/// The default interval between snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(300);

impl MemoryStoreBuilder {
    /// Sets how many sessions the store holds at most. Default: 100,000. Beyond that, the least recently used session
    /// is evicted, sessions without an owner first. Tombstones and epochs are not counted. [`open`](Self::open) accepts
    /// 1 to 2^32.
    pub fn capacity(mut self, sessions: u64) -> Self {
        self.capacity = sessions;
        self
    }

    /// Sets how many bytes of memory the store may take, bookkeeping included. Default: 256 MiB. [`open`](Self::open)
    /// accepts 64 KiB or more.
    ///
    /// The size is an estimate of what shows as resident memory: the allocations, a quarter more for space that an
    /// allocator can't reuse, and an eighth more for a record's entries if they are larger than 4 KiB. It is on the
    /// high side if sessions are of similar size and few threads create them. It is on the low side if many threads are
    /// busy creating sessions of very different sizes: glibc gives each thread an arena, and each arena keeps its
    /// largest extent. `MALLOC_ARENA_MAX=1`, or another allocator, avoids that.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets how often the space of expired sessions is freed. Default: 60 seconds. An expired session is absent at
    /// once, whatever the interval.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Sets the path of a snapshot, so that a restart loses no session. Default: none. Missing folders are created.
    ///
    /// Beside it are its journal (`.journal`), its lock (`.lock`), and `.tmp` files during writes. They contain every
    /// session's data; on Unix, only this user can read them. They don't contain tokens, so nothing in them opens a
    /// session.
    pub fn snapshot_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.snapshot_path = Some(path.into());
        self
    }

    /// Sets how often a snapshot is written. Default: 300 seconds. A crash loses what was created or changed since the
    /// last snapshot. It brings back nothing that was removed.
    pub fn snapshot_interval(mut self, interval: Duration) -> Self {
        self.snapshot_interval = Some(interval);
        self
    }

    /// Sets whether a removal is answered only when it is on the disk (`fsync`). Default: true. If false, it is
    /// answered when the operating system has it. Then a crash of this process undoes no removal, but a crash of the
    /// machine can.
    pub fn sync_removals(mut self, sync: bool) -> Self {
        self.sync_removals = sync;
        self
    }

    /// Sets whether a damaged snapshot is moved aside (to `.damaged-…`), so that the store opens empty. Default: false,
    /// so that [`open`](Self::open) fails. Moving it aside logs everybody out, but logs nobody in who should not be.
    pub fn move_damaged_aside(mut self, aside: bool) -> Self {
        self.move_damaged_aside = aside;
        self
    }

    /// Sets the longest lease, which is also what a lease of zero time gets. Default: 30 seconds.
    pub fn longest_lease(mut self, time: Duration) -> Self {
        self.longest_lease = time;
        self
    }

    /// Sets how long [`close`](crate::SessionStore::close), or dropping a store that was not closed, waits for the last
    /// snapshot. Default: 30 seconds.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.close_timeout = time;
        self
    }

    /// Sets the clock. Default: the system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds an observer of what the store does on its own: evictions, expiries (with the expired record), and how many
    /// sessions a sweep leaves. Default: no observers.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Opens the store, empty or with the sessions of the snapshot. [`MemoryStore::restored`] returns what was
    /// restored.
    ///
    /// This blocks until the snapshot is read: call it before the server starts, or in `tokio::task::spawn_blocking`.
    /// It needs no runtime. The store's tasks start at its first use inside one.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, or the snapshot is in use by another store, is damaged or can't be read.
    pub fn open(self) -> Result<MemoryStore, MemoryOpenError> {
        self.check()?;
        let bounds = Bounds::new(self.capacity, self.bytes);
        let now = self.clock.recent_millis();
        let (table, snapshotter, restored) = match &self.snapshot_path {
            None => (Table::new(bounds, 0, None, now), None, Restored::default()),
            Some(path) => {
                let failed = |source| MemoryOpenError::Io { operation: "resolve", path: path.clone(), source };
                let path = std::path::absolute(path).map_err(failed)?;
                let (table, snapshotter, restored) =
                    restore::open(path, bounds, self.sync_removals, self.move_damaged_aside, now)?;
                (table, Some(snapshotter), restored)
            }
        };
        let core = Arc::new(Core::new(table, self.clock.clone(), snapshotter, self.observers.clone()));
        Ok(self.assemble(core, restored))
    }

    fn check(&self) -> Result<(), MemoryOpenError> {
        let wrong = |setting, problem: &str| Err(MemoryOpenError::Setting { setting, problem: problem.to_owned() });
        if self.capacity == 0 || self.capacity > MOST_SESSIONS {
            let problem = format!("is {}: it must be 1 to {MOST_SESSIONS} sessions", self.capacity);
            return Err(MemoryOpenError::Setting { setting: "capacity", problem });
        }
        if self.bytes < LEAST_BYTES {
            let problem = format!("is {}: it must be at least {LEAST_BYTES} bytes", self.bytes);
            return Err(MemoryOpenError::Setting { setting: "bytes", problem });
        }
        let times = [
            ("sweep_interval", self.sweep_interval),
            ("snapshot_interval", self.interval_of_snapshots()),
            ("longest_lease", self.longest_lease),
            ("close_timeout", self.close_timeout),
        ];
        for (setting, time) in times {
            if time.is_zero() {
                return wrong(setting, "is zero: it must be longer");
            }
        }
        match (&self.snapshot_path, self.snapshot_interval) {
            (None, Some(_)) => wrong("snapshot_interval", "is set, but `snapshot_path` is not"),
            (Some(path), _) if path.file_name().is_none() => {
                wrong("snapshot_path", "names no file: give the path of a file, such as \"/var/lib/shop/sessions\"")
            }
            (Some(path), _) if path.as_os_str().to_string_lossy().ends_with(std::path::is_separator) => {
                wrong("snapshot_path", "names a directory: give the path of a file in it")
            }
            _ => Ok(()),
        }
    }

    fn interval_of_snapshots(&self) -> Duration {
        self.snapshot_interval.unwrap_or(SNAPSHOT_INTERVAL)
    }

    fn assemble(&self, core: Arc<Core>, restored: Restored) -> MemoryStore {
        let background = Background::new(self.sweep_interval, self.interval_of_snapshots());
        MemoryStore::of(core, restored, background, self.longest_lease, self.close_timeout)
    }

    /// Builds a store without a snapshot from settings that are known to be valid, so nothing can fail.
    fn plain(self) -> MemoryStore {
        let table = Table::new(Bounds::new(self.capacity, self.bytes), 0, None, self.clock.recent_millis());
        let core = Arc::new(Core::new(table, self.clock.clone(), None, self.observers.clone()));
        self.assemble(core, Restored::default())
    }
}
