//! The store as a dictionary, and a session's metadata.

use std::{collections::HashSet, sync::Arc, time::Duration};

use session_layer::{Clearing, Listing, MemoryStore, Owners, SessionStatus, SessionStore, StoreErrorKind, Usage};

use super::support::{MINUTE, clock, create, id, record};

#[tokio::test]
async fn the_store_can_be_used_as_a_dictionary() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let (first, second) = (record(&clock, None), record(&clock, Some("alice")));
    let usage = Usage::at(&first, clock.now());
    assert!(store.is_empty());
    assert!(store.get(&id("a")).await.unwrap().is_none());
    let inserted = store.get_or_insert(&id("a"), &first, usage).await.unwrap();
    let found = store.get_or_insert(&id("a"), &second, usage).await.unwrap();
    assert!(Arc::ptr_eq(&found.record, &first));
    assert_eq!(found.version, inserted.version);
    assert!(store.contains(&id("a")).await.unwrap());
    let taken = store.take(&id("a")).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&taken.record, &first));
    assert!(store.take(&id("a")).await.unwrap().is_none());
    assert!(!store.remove(&id("a")).await.unwrap());
    // An absent and an expired session are treated alike.
    create(&store, &id("a"), &first, &clock).await;
    clock.advance(Duration::from_secs(3_600));
    assert!(!store.contains(&id("a")).await.unwrap());
    assert!(store.get(&id("a")).await.unwrap().is_none());
    assert!(store.take(&id("a")).await.unwrap().is_none());
    assert_eq!(store.len(), 0);
}

#[tokio::test]
async fn a_load_clones_a_pointer() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let session = record(&clock, None);
    create(&store, &id("a"), &session, &clock).await;
    assert!(Arc::ptr_eq(&store.get(&id("a")).await.unwrap().unwrap().record, &session));
    assert_eq!(Arc::strong_count(&session), 2);
}

/// Every session that lives throughout comes once, whatever comes and goes meanwhile.
#[tokio::test]
async fn iteration_continues_during_writes() {
    let clock = clock();
    let store = MemoryStore::builder().capacity(20_000).clock(clock.clone()).open().unwrap();
    let session = record(&clock, None);
    for number in 0..2_000 {
        create(&store, &id(format!("stays {number}")), &session, &clock).await;
        create(&store, &id(format!("goes {number}")), &session, &clock).await;
    }
    let mut seen = HashSet::new();
    for (number, (id_seen, _)) in store.iter().enumerate() {
        assert!(seen.insert(id_seen), "{id_seen} came twice");
        if number < 2_000 {
            store.remove(&id(format!("goes {number}"))).await.unwrap();
            create(&store, &id(format!("comes {number}")), &session, &clock).await;
        }
    }
    assert!((0..2_000).all(|number| seen.contains(&id(format!("stays {number}")))));
    assert_eq!((&store).into_iter().count(), 4_000);
}

#[tokio::test]
async fn metadata_has_creation_use_count_expiry_and_status() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let created = clock.now();
    let session = record(&clock, None);
    create(&store, &id("a"), &session, &clock).await;
    clock.advance(MINUTE);
    for _ in 0..3 {
        store.load(&id("a")).await.unwrap().unwrap();
    }
    let accessed = clock.now();
    clock.advance(MINUTE);
    store.contains(&id("a")).await.unwrap();
    let metadata = store.metadata(&id("a")).await.unwrap().unwrap();
    assert_eq!((metadata.created_at, metadata.used_at), (created, accessed));
    assert_eq!((metadata.access_count, metadata.status), (Some(3), SessionStatus::Active));
    assert_eq!(metadata.expires_at, created + 60 * MINUTE);
    // A load moves neither the sliding expiry nor the last use on which the layer bases a touch.
    assert_eq!(store.load(&id("a")).await.unwrap().unwrap().used_at, created);
    clock.advance(58 * MINUTE);
    assert_eq!(store.metadata(&id("a")).await.unwrap().unwrap().status, SessionStatus::Expired);
    assert_eq!(store.sweep().await.unwrap().deleted, 1);
    assert!(store.metadata(&id("a")).await.unwrap().is_none());
}

#[tokio::test]
async fn debug_shows_count_and_capacity_only() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    create(&store, &id("a"), &record(&clock, Some("alice@example.org")), &clock).await;
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 1, capacity: 100000, .. }");
    assert_eq!(format!("{:?}", store.iter()), "MemoryIter { .. }");
}

#[tokio::test]
async fn once_closed_every_call_is_unavailable() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let session = record(&clock, None);
    let version = create(&store, &id("a"), &session, &clock).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let usage = Usage::at(&session, clock.now());
    let errors = [
        store.load(&id("a")).await.map(drop).unwrap_err(),
        store.create(&id("b"), &session, usage).await.map(drop).unwrap_err(),
        store.update(&id("a"), &session, &version, usage).await.map(drop).unwrap_err(),
        store.touch(&id("a"), usage).await.map(drop).unwrap_err(),
        store.remove(&id("a")).await.map(drop).unwrap_err(),
        store
            .rename(&id("a"), &version, &crate::support::tombstone(clock.now()), &id("b"), &session, usage)
            .await
            .map(drop)
            .unwrap_err(),
        store.count().await.map(drop).unwrap_err(),
        store.clear().await.map(drop).unwrap_err(),
        store.sweep().await.map(drop).unwrap_err(),
        store.list_owner("alice").await.map(drop).unwrap_err(),
        store.contains(&id("a")).await.map(drop).unwrap_err(),
        store.get_or_insert(&id("a"), &session, usage).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(error.operation().is_some());
    }
    assert_eq!((store.len(), store.iter().count()), (0, 0));
}
