//! Sessions as the tests of stores write and read them: records with one value under `n`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use session_layer::{
    DynStore, Lifetime, SessionId, SessionStore, connect,
    id::{SessionToken, TokenCheck},
    record::{Entries, Epoch, Owner, Record},
    store::{Create, Stored, Update, Usage, Version},
};

/// A fresh id.
pub fn id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// A session with this value in the entry `n`.
pub fn record(n: &[u8]) -> Arc<Record> {
    let entries = Entries::from_sorted([("n", n)].into_iter()).expect("one entry");
    Arc::new(
        Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries),
    )
}

/// A session with an owner.
pub fn owned(owner: &str, epoch: u64) -> Arc<Record> {
    let owner = Owner::new(owner, Epoch::from_u64(epoch)).expect("a name");
    Arc::new((*record(b"1")).clone().with_owner(Some(owner)))
}

/// A tombstone like that of a login.
pub fn tombstone() -> Arc<Record> {
    let check = TokenCheck::from_bytes([9; 16]);
    Arc::new(Record::tombstone(check, SystemTime::now(), Duration::from_secs(60), None).expect("random numbers"))
}

pub fn value(stored: &Stored) -> &[u8] {
    stored.record.entries().get("n").expect("the entry n")
}

pub fn usage(record: &Record) -> Usage {
    Usage::at(record, SystemTime::now())
}

/// Stores a session under an id that must be free.
pub async fn created(store: &impl SessionStore, id: &SessionId, record: &Arc<Record>) -> Version {
    match store.create(id, record, usage(record)).await.expect("created") {
        Create::Created(version) => version,
        Create::Exists => panic!("the id is taken"),
    }
}

/// Loads a session that must be there.
pub async fn loaded(store: &impl SessionStore, id: &SessionId) -> Stored {
    store.load(id).await.expect("the store answers").expect("it is there")
}

/// Opens the store with this URL.
pub async fn open(url: &str) -> DynStore {
    connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A session with this number as its value.
pub fn numbered(n: u64) -> Arc<Record> {
    record(&n.to_le_bytes())
}

pub fn number(stored: &Stored) -> u64 {
    u64::from_le_bytes(value(stored).try_into().expect("8 bytes"))
}

/// Adds one, retrying until it succeeds. Returns `false` if the session is gone.
pub async fn increment(store: &impl SessionStore, id: &SessionId) -> bool {
    loop {
        let Some(held) = store.load(id).await.expect("it answers") else { return false };
        let next = numbered(number(&held) + 1);
        match store.update(id, &next, &held.version, usage(&next)).await.expect("it answers") {
            Update::Updated(_) => return true,
            Update::Conflict(_) => {}
            Update::Gone => return false,
        }
    }
}

/// A random number, different in each run.
pub fn random() -> u64 {
    let (one, two) = id().as_uuid().as_u64_pair();
    one ^ two.rotate_left(17)
}
