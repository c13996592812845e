//! A single store: its metadata, the cost of its loads, and its calls after it was closed.

use std::sync::Arc;

use session_layer::{
    MemoryStore, SessionStore,
    store::{Clearing, Cursor, Listing, Owners, SessionStatus, StoreErrorKind, Usage},
};

use super::support::{MINUTE, clock, create, id, record};

#[tokio::test]
async fn a_load_clones_a_pointer() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let session = record(&clock, None);
    create(&store, &id("a"), &session, &clock).await;
    assert!(Arc::ptr_eq(&store.load(&id("a")).await.unwrap().unwrap().record, &session));
    assert_eq!(Arc::strong_count(&session), 2);
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
    store.ids(Cursor::START, 10).await.unwrap();
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
        store.ids(Cursor::START, 10).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(error.operation().is_some());
    }
}
