//! Shared by these tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use session_layer::{
    Lifetime, MemcachedStore, SessionId, SessionStore,
    id::{SessionToken, TokenCheck},
    record::{Entries, Epoch, Owner, Record},
    store::{Create, MemcachedStoreBuilder, Stored, Usage, Version},
};

use crate::server::Memcached;

/// Settings for these servers, with short limits.
pub fn builder<'a>(servers: impl IntoIterator<Item = &'a Memcached>) -> MemcachedStoreBuilder {
    MemcachedStore::builder()
        .servers(servers.into_iter().map(Memcached::address))
        .connect_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
}

pub fn store<'a>(servers: impl IntoIterator<Item = &'a Memcached>) -> MemcachedStore {
    builder(servers).build().expect("good settings")
}

/// Returns a fresh id.
pub fn id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// Returns a fresh id on this server.
pub fn id_on(store: &MemcachedStore, server: usize) -> SessionId {
    std::iter::repeat_with(id).find(|id| store.server_of(id) == server).expect("one in a few")
}

/// Creates a session with this value under `n`.
pub fn record(n: &[u8]) -> Arc<Record> {
    let entries = Entries::from_sorted([("n", n)].into_iter()).expect("one entry");
    Arc::new(
        Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries),
    )
}

/// Creates a session with an owner.
pub fn owned(owner: &str, epoch: u64) -> Arc<Record> {
    let owner = Owner::new(owner, Epoch::from_u64(epoch)).expect("a name");
    Arc::new((*record(b"1")).clone().with_owner(Some(owner)))
}

pub fn value(stored: &Stored) -> &[u8] {
    stored.record.entries().get("n").expect("the entry n")
}

pub fn usage(record: &Record) -> Usage {
    Usage::at(record, SystemTime::now())
}

pub async fn created(store: &MemcachedStore, id: &SessionId, record: &Arc<Record>) -> Version {
    match store.create(id, record, usage(record)).await.expect("created") {
        Create::Created(version) => version,
        Create::Exists => panic!("the id is taken"),
    }
}

pub async fn loaded(store: &MemcachedStore, id: &SessionId) -> Stored {
    store.load(id).await.expect("the store answers").expect("it is there")
}

/// Returns a random number, different in each run.
pub fn random() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let bytes = id().as_uuid().as_u64_pair();
    bytes.0 ^ bytes.1.rotate_left(17) ^ COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A tombstone like a login's.
pub(crate) fn tombstone() -> Arc<Record> {
    let check = TokenCheck::from_bytes([9; 16]);
    let life = Duration::from_secs(60);
    let now = session_layer::Clock::system().now();
    Arc::new(Record::tombstone(check, now, life, None).unwrap())
}
