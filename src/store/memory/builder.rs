//! The settings of a memory store.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    background::Background,
    core::Core,
    error::MemoryOpenError,
    ledger::Bounds,
    restore::{self, Restored},
    store::MemoryStore,
    table::Table,
};
use crate::{
    clock::Clock,
    events::{Observer, Observers},
};

/// Bytes below which not even a few sessions fit.
const LEAST_BYTES: u64 = 64 * 1024;

/// More sessions than any machine holds; what is above is a slip of the pen.
const MOST_SESSIONS: u64 = 1 << 32;

/// The settings of a [`MemoryStore`]; made by [`MemoryStore::builder`].
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
    /// An empty store with the default settings: 100,000 sessions, 256 MiB, no snapshots.
    #[must_use]
    pub fn new() -> Self {
        MemoryStoreBuilder::default().plain()
    }

    /// The same with this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        MemoryStoreBuilder::default().clock(clock).plain()
    }

    /// Settings, to begin with the default ones.
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

/// Seconds between snapshots, if nothing else is said.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(300);

impl MemoryStoreBuilder {
    /// How many sessions there may be: 100,000 by default. Then the least recently used is evicted, one without an
    /// owner first. Tombstones and epochs are not counted.
    pub fn capacity(mut self, sessions: u64) -> Self {
        self.capacity = sessions;
        self
    }

    /// How many bytes of memory the store may take, bookkeeping included: 256 MiB by default.
    ///
    /// It is an estimate of what shows as resident memory: what the allocations take, a quarter on top for what an allocator
    /// can't use again, and an eighth more for what is larger than 4 KiB. So it is on the high side where sessions are
    /// alike in size and few threads make them. It is on the low side where many threads are busy creating sessions of
    /// very different sizes: glibc gives each of them an arena, and each keeps its largest extent; `MALLOC_ARENA_MAX=1`,
    /// or another allocator, avoids that.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// How often the space of expired sessions is given free: every 60 seconds by default. An expired session is absent
    /// at once, whatever this says.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Where a snapshot is kept, so that a restart loses no session; none by default. Folders are made.
    ///
    /// Beside it are its journal (`.journal`), its lock (`.lock`), and while they are written `.tmp` files. They hold
    /// every session's data: on Unix, only this user can read them. Nothing in them opens a session: tokens are not
    /// in them.
    pub fn snapshot_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.snapshot_path = Some(path.into());
        self
    }

    /// How often a snapshot is written: every 300 seconds by default. A crash loses what was created or changed since
    /// the last one; it brings back nothing that was removed.
    pub fn snapshot_interval(mut self, interval: Duration) -> Self {
        self.snapshot_interval = Some(interval);
        self
    }

    /// Whether a removal is answered only when the disk has it (`fsync`): yes by default. Without, it is answered when
    /// the operating system has it. Then no crash of this process undoes a removal, but one of the machine can.
    pub fn sync_removals(mut self, sync: bool) -> Self {
        self.sync_removals = sync;
        self
    }

    /// Whether a damaged snapshot is moved aside (to `.damaged-…`), so that the store opens empty: no by default, and
    /// [`open`](Self::open) fails. Everybody is logged out by it, but nobody logged in who should not be.
    pub fn move_damaged_aside(mut self, aside: bool) -> Self {
        self.move_damaged_aside = aside;
        self
    }

    /// The longest lease, and what a lease of no time gets: 30 seconds by default.
    pub fn longest_lease(mut self, time: Duration) -> Self {
        self.longest_lease = time;
        self
    }

    /// How long [`close`](crate::SessionStore::close), or dropping the store unclosed, waits for the last snapshot: 30
    /// seconds by default.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.close_timeout = time;
        self
    }

    /// Where the store reads the time: the system's clock by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells an observer of what the store does by itself: evictions, what has expired with its record, and how many
    /// sessions a sweep leaves. Called again, it adds one. Default: nobody is told.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Opens the store: empty, or with the sessions of the snapshot; [`MemoryStore::restored`] tells.
    ///
    /// It reads the snapshot before it returns, so it blocks: call it before the server starts, or by
    /// `tokio::task::spawn_blocking`. It needs no runtime; the store's tasks start at its first use inside one.
    ///
    /// # Errors
    ///
    /// If a setting makes no sense, or the snapshot is in use by another store, damaged or can't be read.
    pub fn open(self) -> Result<MemoryStore, MemoryOpenError> {
        self.check()?;
        let bounds = Bounds::new(self.capacity, self.bytes);
        let now = self.clock.recent_millis();
        let (table, keeper, restored) = match &self.snapshot_path {
            None => (Table::new(bounds, 0, None, now), None, Restored::default()),
            Some(path) => {
                let failed = |source| MemoryOpenError::Io { operation: "find", path: path.clone(), source };
                let path = std::path::absolute(path).map_err(failed)?;
                let (table, keeper, restored) =
                    restore::open(path, bounds, self.sync_removals, self.move_damaged_aside, now)?;
                (table, Some(keeper), restored)
            }
        };
        let core = Arc::new(Core::new(table, self.clock.clone(), keeper, self.observers.clone()));
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
                return wrong(setting, "is zero: it must be a time");
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

    /// A store with the default settings and this clock: nothing in it can fail.
    fn plain(self) -> MemoryStore {
        let table = Table::new(Bounds::new(self.capacity, self.bytes), 0, None, self.clock.recent_millis());
        let core = Arc::new(Core::new(table, self.clock.clone(), None, self.observers.clone()));
        self.assemble(core, Restored::default())
    }
}
