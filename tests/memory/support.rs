//! Records and clocks for these tests.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use session_layer::{
    Clock, Lifetime, MemoryStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Epoch, Owner, Record},
    store::{Create, MemoryStoreBuilder, Owners, Usage, Version},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn clock() -> Clock {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

pub(crate) fn id(name: impl ToString) -> SessionId {
    SessionId::for_epoch(&format!("session {}", name.to_string()))
}

/// A session of one hour idle and one day absolute, of about `bytes`.
pub(crate) fn sized(clock: &Clock, owner: Option<&str>, bytes: usize) -> Arc<Record> {
    let value = vec![b'x'; bytes];
    let entries = Entries::from_sorted([("n", &value[..])].into_iter()).unwrap();
    let owner = owner.map(|name| Owner::new(name, Epoch::from_u64(7)).unwrap());
    let record = Record::session(TokenCheck::from_bytes([1; 16]), clock.now(), Lifetime::default());
    Arc::new(record.with_entries(entries).with_owner(owner))
}

pub(crate) fn record(clock: &Clock, owner: Option<&str>) -> Arc<Record> {
    sized(clock, owner, 10)
}

/// Creates a session under a free id.
pub(crate) async fn create(store: &MemoryStore, id: &SessionId, record: &Arc<Record>, clock: &Clock) -> Version {
    match store.create(id, record, Usage::at(record, clock.now())).await.unwrap() {
        Create::Created(version) => version,
        Create::Exists => panic!("{id} is there"),
    }
}

pub(crate) fn with_snapshots(path: &Path, clock: &Clock) -> MemoryStoreBuilder {
    MemoryStore::builder().snapshot_path(path).clock(clock.clone())
}

/// Revokes an owner's sessions and removes them. Returns how many were removed.
pub(crate) async fn revoke(store: &MemoryStore, owner: &str, clock: &Clock) -> u64 {
    store.renew_epoch(owner, Usage::keep_for(clock.now(), Duration::ZERO)).await.unwrap();
    let mut removed = 0;
    for owned in store.list_owner(owner).await.unwrap() {
        removed += u64::from(store.remove(&owned.id).await.unwrap());
    }
    removed
}

/// Opens the files that a crash at this instant would leave.
pub(crate) fn after_a_crash(path: &Path, clock: &Clock) -> (tempfile::TempDir, MemoryStore) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("sessions");
    for suffix in ["", ".journal"] {
        let with = |path: &Path| format!("{}{suffix}", path.display());
        if Path::new(&with(path)).exists() {
            std::fs::copy(with(path), with(&copy)).unwrap();
        }
    }
    let store = with_snapshots(&copy, clock).open().unwrap();
    (folder, store)
}

/// A tombstone like a login's.
pub(crate) fn tombstone(now: std::time::SystemTime) -> Arc<Record> {
    let check = TokenCheck::from_bytes([9; 16]);
    let life = Duration::from_secs(60);
    Arc::new(Record::tombstone(check, now, life, None).unwrap())
}
