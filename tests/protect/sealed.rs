//! Sealed records over a store: wrong keys, owners, and damaged bytes.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_layer::{
    Clock, EncryptedStore, KeyRing, Lifetime, MemoryStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Forward, Owner, Record, RecordKind},
    store::{Clearing, Create, Owners, Refresh, Rename, SealError, StoreErrorKind, Stored, Update, Usage, Version},
};

use crate::kit::{ring, secret};

pub(crate) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn id(name: &str) -> SessionId {
    SessionId::for_epoch(name)
}

pub(crate) fn record(text: &str) -> Record {
    let entries = Entries::from_sorted([("text", text.as_bytes())].into_iter()).unwrap();
    Record::session(TokenCheck::from_bytes([5; 16]), start(), Lifetime::default()).with_entries(entries)
}

pub(crate) async fn create(store: &impl SessionStore, id: &SessionId, record: Record) -> Version {
    let record = Arc::new(record);
    match store.create(id, &record, Usage::at(&record, start())).await.unwrap() {
        Create::Created(version) => version,
        Create::Exists => panic!("{id} is there"),
    }
}

pub(crate) fn text(stored: &Stored) -> &str {
    std::str::from_utf8(stored.record.entries().get("text").unwrap()).unwrap()
}

fn memory() -> MemoryStore {
    MemoryStore::with_clock(Clock::manual(start()))
}

fn turned() -> KeyRing {
    KeyRing::new(secret(2)).opening(secret(1)).unwrap()
}

/// Logs an owner in: copies the owner's epoch into the record, as the layer does.
async fn login(store: &impl SessionStore, id: &SessionId, owner: &str) -> Version {
    let record = record(owner);
    let usage = Usage { used_at: start(), expires_at: record.absolute_limit() };
    let epoch = store.ensure_epoch(owner, usage).await.unwrap();
    create(store, id, record.with_owner(Some(Owner::new(owner, epoch).unwrap()))).await
}

/// Whether the session is logged in, by the layer's rules.
async fn lives(store: &impl SessionStore, id: &SessionId) -> bool {
    let stored = store.load(id).await.unwrap().unwrap();
    let owner = stored.record.owner().unwrap();
    assert_eq!(&**owner.name(), "bob");
    store.owner_epoch(owner.name()).await.unwrap() == Some(owner.epoch())
}

async fn revoke(store: &impl SessionStore, owner: &str) {
    let usage = Usage { used_at: start(), expires_at: record("").absolute_limit() };
    store.renew_epoch(owner, usage).await.unwrap();
}

/// Neither values, nor keys of entries, nor the owner's name.
#[tokio::test]
async fn nothing_readable_is_at_rest() {
    let inner = memory();
    let store = EncryptedStore::new(inner.clone(), ring());
    login(&store, &id("a"), "bob").await;
    let bytes = inner.load(&id("a")).await.unwrap().unwrap().record.to_bytes();
    for secret in ["bob", "text"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} is at rest");
    }
    // The epoch is stored under the owner's hash.
    assert!(inner.owner_epoch("bob").await.unwrap().is_none());
    assert!(lives(&store, &id("a")).await);
}

/// The error names the key. The stored bytes are unchanged, and open again with the right key.
#[tokio::test]
async fn a_wrong_key_is_an_error_and_changes_nothing() {
    let inner = memory();
    let right = EncryptedStore::new(inner.clone(), ring());
    let version = create(&right, &id("a"), record("1")).await;
    let before = inner.load(&id("a")).await.unwrap().unwrap().record.to_bytes();

    let wrong = EncryptedStore::new(inner.clone(), KeyRing::new(secret(2)));
    let error = wrong.load(&id("a")).await.unwrap_err();
    assert_eq!((error.kind(), error.id()), (StoreErrorKind::Corrupt, Some(id("a"))));
    let cause = error.source().unwrap().downcast_ref::<SealError>().unwrap();
    assert_eq!(*cause, SealError::UnknownKey(ring().writes_with()));
    let fresh = Arc::new(record("other"));
    let usage = Usage::at(&fresh, start());
    assert_eq!(wrong.create(&id("a"), &fresh, usage).await.unwrap(), Create::Exists);
    let guess = Version::from_u64(u64::MAX);
    assert_eq!(wrong.update(&id("a"), &fresh, &guess, usage).await.unwrap(), Update::Conflict(None));

    let after = inner.load(&id("a")).await.unwrap().unwrap();
    assert_eq!((after.record.to_bytes(), after.version), (before, version));
    assert_eq!(text(&right.load(&id("a")).await.unwrap().unwrap()), "1");
    // Removing works even if nothing opens.
    assert!(wrong.remove(&id("a")).await.unwrap());
}

/// A record copied to another id does not open there.
#[tokio::test]
async fn a_record_copied_to_another_id_does_not_open() {
    let inner = memory();
    let store = EncryptedStore::new(inner.clone(), ring());
    create(&store, &id("victim"), record("1")).await;
    let stolen = inner.load(&id("victim")).await.unwrap().unwrap();
    inner.create(&id("thief"), &stolen.record, stolen.usage()).await.unwrap();
    let error = store.load(&id("thief")).await.unwrap_err();
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&SealError::Broken));
}

/// With write access to the store, tombstones and epochs can end sessions, but open none.
#[tokio::test]
async fn tombstones_and_epochs_open_nothing() {
    let inner = memory();
    let store = EncryptedStore::new(inner.clone(), ring());
    login(&store, &id("a"), "bob").await;
    let sealed = inner.load(&id("a")).await.unwrap().unwrap();
    for kind in [RecordKind::Session, RecordKind::Tombstone, RecordKind::Epoch] {
        let changed = Arc::new(Record::clone(&sealed.record).with_kind(kind));
        let present = inner.load(&id("a")).await.unwrap().unwrap().version;
        let outcome = inner.update(&id("a"), &changed, &present, sealed.usage()).await.unwrap();
        assert!(matches!(outcome, Update::Updated(_)));
        assert_eq!(store.load(&id("a")).await.unwrap_err().kind(), StoreErrorKind::Corrupt, "{kind:?}");
    }
    // An empty tombstone is what a login's rename leaves: it says "superseded" and nothing else.
    let now = inner.load(&id("a")).await.unwrap().unwrap().version;
    let tombstone = Arc::new(Record::plain_tombstone(sealed.record.check(), start()));
    inner.update(&id("a"), &tombstone, &now, Usage::at(&tombstone, start())).await.unwrap();
    let loaded = store.load(&id("a")).await.unwrap().unwrap();
    assert_eq!(loaded.record.kind(), RecordKind::Tombstone);
    assert!(loaded.record.owner().is_none() && loaded.record.entries().is_empty());
}

#[tokio::test]
async fn a_rename_leaves_the_right_tombstone_and_a_refresh_opens() {
    let inner = memory();
    let store = EncryptedStore::new(inner, ring());
    let version = create(&store, &id("a"), record("1")).await;
    let held = store.load(&id("a")).await.unwrap().unwrap();
    let moved = Arc::new(record("2").with_check(TokenCheck::from_bytes([6; 16])));
    let usage = Usage::at(&moved, start());
    let forward = Forward { to: id("b"), until: start(), owner: Some("bob".into()) };
    let life = Duration::from_secs(60);
    let left = Record::tombstone(held.record.check(), start(), life, Some(&forward)).unwrap();
    let left = Arc::new(left);
    assert!(matches!(
        store.rename(&id("a"), &version, &left, &id("b"), &moved, usage).await.unwrap(),
        Rename::Renamed(_)
    ));
    let tombstone = store.load(&id("a")).await.unwrap().unwrap();
    assert_eq!(tombstone.record, left);
    let stored = store.inner().load(&id("a")).await.unwrap().unwrap().record;
    assert_eq!((stored.kind(), stored.forward().unwrap()), (RecordKind::Tombstone, None), "the way is sealed as well");
    match store.refresh(&id("a"), &held).await.unwrap() {
        Refresh::Changed(stored) => assert_eq!(stored.record, tombstone.record),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.load(&id("b")).await.unwrap().unwrap().record, moved);
}

/// Two servers write with different keys, and agree on which sessions are logged in.
#[tokio::test]
async fn servers_with_different_keys_agree_on_owners() {
    let inner = memory();
    let old = EncryptedStore::new(inner.clone(), ring().opening(secret(2)).unwrap());
    let new = EncryptedStore::new(inner.clone(), turned());
    for (login_at, other) in [(&old, &new), (&new, &old)] {
        inner.clear().await.unwrap();
        let version = login(login_at, &id("a"), "bob").await;
        assert!(lives(login_at, &id("a")).await && lives(other, &id("a")).await);
        // Both list it, whichever key sealed it.
        for store in [login_at, other] {
            let listed = store.list_owner("bob").await.unwrap();
            assert_eq!(listed.iter().map(|owned| owned.id).collect::<Vec<_>>(), [id("a")]);
        }
        // Written by the other server: resealed with its own hash and epoch. Both still agree.
        let stored = other.load(&id("a")).await.unwrap().unwrap();
        assert_eq!(stored.version, version);
        other.update(&id("a"), &stored.record, &stored.version, stored.usage()).await.unwrap();
        assert!(lives(login_at, &id("a")).await && lives(other, &id("a")).await);
        // Revoked on either server, the sessions end on both.
        revoke(login_at, "bob").await;
        assert!(!lives(login_at, &id("a")).await && !lives(other, &id("a")).await);
        login(other, &id("b"), "bob").await;
        assert!(lives(login_at, &id("b")).await);
        assert!(!lives(login_at, &id("a")).await && !lives(other, &id("a")).await);
        revoke(other, "bob").await;
        assert!(!lives(login_at, &id("b")).await && !lives(other, &id("b")).await);
    }
}

/// A revoked session stays revoked when it is resealed.
#[tokio::test]
async fn resealing_revives_no_revoked_session() {
    let inner = memory();
    let old = EncryptedStore::new(inner.clone(), ring());
    login(&old, &id("a"), "bob").await;
    revoke(&old, "bob").await;
    let new = EncryptedStore::new(inner, turned());
    let stored = new.load(&id("a")).await.unwrap().unwrap();
    new.update(&id("a"), &stored.record, &stored.version, stored.usage()).await.unwrap();
    login(&new, &id("b"), "bob").await;
    assert!(!lives(&new, &id("a")).await);
    assert!(lives(&new, &id("b")).await);
}
