//! Shared by these tests: records that count, and stores over a temporary directory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_layer::{
    Clock, FileStore, Lifetime, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Record},
    store::{Create, Stored, Update, Usage, Version},
};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

/// An instant in 2026, in whole milliseconds.
pub(crate) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_790_000_000_123)
}

/// An id whose file is in this shard.
pub(crate) fn id(shard: u8, number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[0] = shard;
    bytes[1..6].copy_from_slice(&number.to_be_bytes()[3..]);
    SessionId::from_uuid(uuid::Uuid::new_v8(bytes))
}

/// A session of one hour idle and one day absolute, created at this time, that holds a number.
pub(crate) fn record_at(created: SystemTime, number: u64) -> Arc<Record> {
    let text = number.to_string();
    let entries = Entries::from_sorted([("n", text.as_bytes())].into_iter()).unwrap();
    let lifetime = Lifetime::new(HOUR, DAY).unwrap();
    Arc::new(Record::session(TokenCheck::from_bytes([7; 16]), created, lifetime).with_entries(entries))
}

pub(crate) fn record(number: u64) -> Arc<Record> {
    record_at(start(), number)
}

pub(crate) fn number(stored: &Stored) -> u64 {
    let bytes = stored.record.entries().get("n").expect("every record has a number");
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

pub(crate) fn usage() -> Usage {
    Usage::at(&record(0), start())
}

pub(crate) fn path_of(store: &FileStore, id: &SessionId) -> PathBuf {
    path_in(store.dir(), id)
}

pub(crate) fn path_in(dir: &Path, id: &SessionId) -> PathBuf {
    let name = id.to_string();
    dir.join(&name[..2]).join(name)
}

/// A store over its own directory, with a clock that stands at `start()` and without a task.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Clock,
    pub(crate) store: FileStore,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(start());
        let store = open(dir.path(), &clock).await;
        Self { dir, clock, store }
    }

    /// Another store over the same directory, as in another process.
    pub(crate) async fn twin(&self) -> FileStore {
        open(self.dir.path(), &self.clock).await
    }

    pub(crate) async fn create(&self, id: &SessionId, number: u64) -> Version {
        create(&self.store, id, number).await
    }

    pub(crate) async fn load(&self, id: &SessionId) -> Option<Stored> {
        self.store.load(id).await.unwrap()
    }
}

pub(crate) async fn open(dir: &Path, clock: &Clock) -> FileStore {
    let store = FileStore::builder(dir).clock(clock.clone()).sweep_interval(None);
    store.durability(session_layer::Durability::None).open().await.unwrap()
}

pub(crate) async fn create(store: &FileStore, id: &SessionId, number: u64) -> Version {
    match store.create(id, &record(number), usage()).await.unwrap() {
        Create::Created(version) => version,
        Create::Exists => panic!("{id} exists"),
    }
}

pub(crate) fn updated(update: Update) -> Version {
    match update {
        Update::Updated(version) => version,
        other => panic!("not updated: {other:?}"),
    }
}

/// Adds one to a session's number, and retries on conflicts.
pub(crate) async fn increment(store: &FileStore, id: &SessionId) {
    loop {
        let stored = store.load(id).await.unwrap().expect("the session is there");
        let next = Arc::new((*record_at(stored.record.created_at(), number(&stored) + 1)).clone());
        let usage = Usage { used_at: stored.used_at, expires_at: stored.expires_at };
        match store.update(id, &next, &stored.version, usage).await.unwrap() {
            Update::Updated(_) => return,
            Update::Conflict(_) => {}
            Update::Gone => panic!("{id} is gone"),
        }
    }
}

/// A tombstone like a login's.
pub(crate) fn tombstone(now: SystemTime) -> Arc<Record> {
    let check = TokenCheck::from_bytes([9; 16]);
    let life = Duration::from_secs(60);
    Arc::new(Record::tombstone(check, now, life, None).unwrap())
}

/// Returns the operating system's reason, which is the error's source and in its text.
pub(crate) fn reason(error: &session_layer::store::FileStoreError) -> std::io::ErrorKind {
    let source = std::error::Error::source(error).expect("a source");
    let reason = source.downcast_ref::<std::io::Error>().expect("the operating system's error");
    assert!(error.to_string().contains(&reason.to_string()), "{error}: {reason}");
    reason.kind()
}
