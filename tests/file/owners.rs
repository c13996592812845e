//! An owner's sessions are listed without reading all sessions.

use std::{fs, sync::Arc};

use session_layer::{
    SessionStore,
    record::{Epoch, Owner, Record},
    store::{Clearing, Listing, Owners, Usage},
};

use crate::support::*;

fn owned(number: u64, name: &str) -> Arc<Record> {
    let owner = Owner::new(name, Epoch::from_u64(1)).unwrap();
    Arc::new(Record::clone(&record(number)).with_owner(Some(owner)))
}

async fn listed(store: &session_layer::FileStore, name: &str) -> Vec<u64> {
    let mut numbers: Vec<_> =
        store.list_owner(name).await.unwrap().iter().map(|owned| number(owned.stored.as_ref().unwrap())).collect();
    numbers.sort_unstable();
    numbers
}

fn marks(fixture: &Fixture) -> usize {
    let shards = fs::read_dir(fixture.dir.path().join("owners")).unwrap();
    shards.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

/// Covers every way in which an owner changes.
#[tokio::test]
async fn the_list_follows_every_change_of_owner() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    fixture.create(&id(1, 1), 1).await;
    for number in 2..6 {
        store.create(&id(number as u8, number), &owned(number, "alice"), usage()).await.unwrap();
    }
    store.create(&id(6, 6), &owned(6, "bob"), usage()).await.unwrap();
    store.ensure_epoch("alice", Usage::keep_for(start(), DAY)).await.unwrap();
    assert_eq!(listed(store, "alice").await, [2, 3, 4, 5]);
    assert_eq!(listed(store, "bob").await, [6]);
    assert!(listed(store, "carol").await.is_empty());

    // Login, another owner, removal of the owner, removal of the session, renewal, expiry.
    let version = |number: u64| async move { fixture_version(store, number).await };
    store.update(&id(1, 1), &owned(1, "alice"), &version(1).await, usage()).await.unwrap();
    store.update(&id(2, 2), &owned(2, "bob"), &version(2).await, usage()).await.unwrap();
    store.update(&id(3, 3), &record(3), &version(3).await, usage()).await.unwrap();
    store.remove(&id(4, 4)).await.unwrap();
    store
        .rename(&id(5, 5), &version(5).await, &tombstone(start()), &id(9, 5), &owned(5, "alice"), usage())
        .await
        .unwrap();
    let twin = fixture.twin().await;
    assert_eq!(listed(&twin, "alice").await, [1, 5]);
    assert_eq!(listed(&twin, "bob").await, [2, 6]);
    assert_eq!(marks(&fixture), 4);

    fixture.clock.advance(HOUR);
    assert!(listed(&twin, "alice").await.is_empty());
    assert_eq!(twin.sweep().await.unwrap().deleted, 5, "one has no owner any more");
    assert_eq!(marks(&fixture), 0);
}

async fn fixture_version(store: &session_layer::FileStore, number: u64) -> session_layer::store::Version {
    store.load(&id(number as u8, number)).await.unwrap().unwrap().version
}

/// Marks that a crash left are skipped, and removed when the owner is listed.
#[tokio::test]
async fn stale_marks_are_removed() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.create(&id(1, 1), &owned(1, "alice"), usage()).await.unwrap();
    store.create(&id(2, 2), &owned(2, "alice"), usage()).await.unwrap();
    store.create(&id(3, 3), &owned(3, "bob"), usage()).await.unwrap();
    fs::remove_file(path_of(store, &id(1, 1))).unwrap();
    // As if bob's session had been alice's, and the crash had come before the mark was removed.
    let alice = session_layer::SessionId::for_epoch("alice").to_string();
    let shard = fixture.dir.path().join("owners").join(&alice[..2]);
    fs::write(shard.join(format!("{alice}.{}", id(3, 3))), "").unwrap();
    fs::write(shard.join("stray"), "").unwrap();
    assert_eq!(listed(store, "alice").await, [2]);
    assert_eq!(fs::read_dir(&shard).unwrap().count(), 2, "the live one's and the stray file");
    assert_eq!(listed(store, "bob").await, [3]);
}

#[tokio::test]
async fn clear_leaves_no_mark() {
    let fixture = Fixture::new().await;
    for number in 0..10 {
        fixture.store.create(&id(number as u8, number), &owned(number, "alice"), usage()).await.unwrap();
    }
    assert_eq!(fixture.store.clear().await.unwrap(), 10);
    assert_eq!(marks(&fixture), 0);
    assert!(listed(&fixture.store, "alice").await.is_empty());
}
