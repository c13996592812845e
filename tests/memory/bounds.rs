//! The store's limits, and the order of eviction.

use std::sync::Arc;

use session_layer::{
    MemoryStore, SessionStore,
    store::{Cursor, Listing, MemoryOpenError, Owners, StoreErrorKind, Update, Usage},
};

use super::support::{clock, create, id, record, sized};

/// Ten times the capacity of anonymous sessions; also in a store full of logins.
#[tokio::test]
async fn a_flood_of_anonymous_visitors_logs_nobody_out() {
    for logins in [100, 968, 1_500] {
        let clock = clock();
        let store = MemoryStore::builder().capacity(1_000).clock(clock.clone()).open().unwrap();
        for number in 0..logins {
            create(&store, &id(format!("login {number}")), &record(&clock, Some("alice")), &clock).await;
        }
        // One 32nd of the capacity is kept free of logins.
        let before = store.list_owner("alice").await.unwrap().len();
        assert_eq!(before, logins.min(1_000 - 1_000 / 32));
        for number in 0..10_000 {
            create(&store, &id(number), &record(&clock, None), &clock).await;
            assert!(store.metadata(&id(number)).await.unwrap().is_some(), "the newest is never the one that goes");
        }
        assert_eq!(store.list_owner("alice").await.unwrap().len(), before);
        assert_eq!(store.count().await.unwrap(), 1_000);
    }
}

/// By bytes: large anonymous sessions, and epochs that must stay.
#[tokio::test]
async fn a_flood_of_large_anonymous_sessions_logs_nobody_out() {
    let clock = clock();
    let store = MemoryStore::builder().bytes(4 << 20).clock(clock.clone()).open().unwrap();
    for number in 0..300 {
        let owner = format!("owner {number}");
        let login = record(&clock, Some(&owner));
        store.ensure_epoch(&owner, Usage::at(&login, clock.now())).await.unwrap();
        create(&store, &id(&owner), &login, &clock).await;
    }
    for number in 0..500 {
        create(&store, &id(number), &sized(&clock, None, 100_000), &clock).await;
        assert!(store.statistics().bytes <= 4 << 20);
    }
    for number in 0..300 {
        let owner = format!("owner {number}");
        assert!(store.metadata(&id(&owner)).await.unwrap().is_some());
        assert!(store.owner_epoch(&owner).await.unwrap().is_some());
    }
}

/// An epoch is evicted before a session only if its owner has no session left: otherwise all of them would be revoked.
#[tokio::test]
async fn epochs_live_as_long_as_their_owners_sessions() {
    let clock = clock();
    let store = MemoryStore::builder().bytes(1 << 20).clock(clock.clone()).open().unwrap();
    let login = record(&clock, Some("alice"));
    store.ensure_epoch("alice", Usage::at(&login, clock.now())).await.unwrap();
    create(&store, &id("alice"), &login, &clock).await;
    for number in 0..10_000 {
        let name = format!("gone {number}");
        store.ensure_epoch(&name, Usage::at(&login, clock.now())).await.unwrap();
    }
    assert!(store.statistics().bytes <= 1 << 20);
    assert!(store.owner_epoch("alice").await.unwrap().is_some());
    assert!(store.owner_epoch("gone 0").await.unwrap().is_none());
    assert!(store.owner_epoch("gone 9999").await.unwrap().is_some());
}

#[tokio::test]
async fn the_least_recently_used_session_is_evicted_and_only_a_use_counts() {
    let clock = clock();
    let store = MemoryStore::builder().capacity(3).clock(clock.clone()).open().unwrap();
    let session = record(&clock, None);
    for name in ["a", "b", "c"] {
        create(&store, &id(name), &session, &clock).await;
    }
    store.load(&id("a")).await.unwrap().unwrap();
    // These do not count as uses.
    store.metadata(&id("b")).await.unwrap();
    assert_eq!(store.ids(Cursor::START, 10).await.unwrap().ids.len(), 3);
    create(&store, &id("d"), &session, &clock).await;
    assert!(store.metadata(&id("b")).await.unwrap().is_none());
    store.touch(&id("c"), Usage::at(&session, clock.now())).await.unwrap();
    create(&store, &id("e"), &session, &clock).await;
    assert!(store.metadata(&id("a")).await.unwrap().is_none());
    assert_eq!(store.statistics().evicted, 2);
}

/// The stored record stays.
#[tokio::test]
async fn a_record_that_is_too_large_is_refused_and_the_stored_one_stays() {
    let clock = clock();
    let store = MemoryStore::builder().bytes(1 << 20).clock(clock.clone()).open().unwrap();
    let small = record(&clock, None);
    let version = create(&store, &id("a"), &small, &clock).await;
    for (owner, bytes) in [(None, 200_000), (Some("alice"), 1 << 20)] {
        let large = sized(&clock, owner, bytes);
        let usage = Usage::at(&large, clock.now());
        let refused = store.update(&id("a"), &large, &version, usage).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::TooLarge);
        let refused = store.create(&id("b"), &large, usage).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::TooLarge);
    }
    assert!(Arc::ptr_eq(&store.load(&id("a")).await.unwrap().unwrap().record, &small));
    // A login's record may be that large.
    let large = sized(&clock, Some("alice"), 200_000);
    let usage = Usage::at(&large, clock.now());
    assert!(matches!(store.update(&id("a"), &large, &version, usage).await.unwrap(), Update::Updated(_)));
}

/// An update can make a session larger, and other sessions are evicted then.
#[tokio::test]
async fn growing_by_updates_keeps_the_bound() {
    let clock = clock();
    let store = MemoryStore::builder().bytes(1 << 20).clock(clock.clone()).open().unwrap();
    for number in 0..100 {
        let version = create(&store, &id(number), &record(&clock, None), &clock).await;
        let large = sized(&clock, None, 50_000);
        let usage = Usage::at(&large, clock.now());
        assert!(matches!(store.update(&id(number), &large, &version, usage).await.unwrap(), Update::Updated(_)));
        assert!(store.statistics().bytes <= 1 << 20);
    }
    // The number of sessions of 50,000 bytes in 1 MiB, with bookkeeping and the bytes that the allocator leaves
    // unusable.
    let count = store.count().await.unwrap();
    assert!((14..=18).contains(&count), "{count}");
}

/// The layer's largest record, by default 128 KiB, fits into the share that even a small store keeps for anonymous
/// sessions.
#[tokio::test]
async fn the_layers_largest_record_fits() {
    let clock = clock();
    let store = MemoryStore::builder().bytes(1 << 20).clock(clock.clone()).open().unwrap();
    let largest = sized(&clock, None, 128 * 1024);
    create(&store, &id("a"), &largest, &clock).await;
    assert_eq!(store.load(&id("a")).await.unwrap().unwrap().record, largest);
}

#[test]
fn a_bad_setting_is_named() {
    let zero = std::time::Duration::ZERO;
    let builder = MemoryStore::builder;
    for (setting, bad) in [
        ("capacity", builder().capacity(0)),
        ("bytes", builder().bytes(1_000)),
        ("sweep_interval", builder().sweep_interval(zero)),
        ("longest_lease", builder().longest_lease(zero)),
        ("close_timeout", builder().close_timeout(zero)),
        ("snapshot_interval", builder().snapshot_path("x").snapshot_interval(zero)),
        ("snapshot_interval", builder().snapshot_interval(std::time::Duration::from_secs(1))),
        ("snapshot_path", builder().snapshot_path("/")),
        ("snapshot_path", builder().snapshot_path(std::env::temp_dir())),
    ] {
        let error = bad.open().unwrap_err();
        assert!(matches!(error, MemoryOpenError::Setting { setting: named, .. } if named == setting), "{error}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

/// Cursors that the store did not issue lead to live sessions or to none.
#[tokio::test]
async fn an_invented_cursor_does_no_harm() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    for number in 0..500 {
        create(&store, &id(number), &record(&clock, None), &clock).await;
    }
    let slots = [0, 1, 256, u64::from(u32::MAX) - 1, u32::MAX.into()];
    for shard in [0, 1, 7, u64::from(u32::MAX) - 1, u32::MAX.into()] {
        for slot in slots {
            for limit in [0, 10, usize::MAX] {
                let page = store.ids(Cursor::from_u64(shard << 32 | slot), limit).await.unwrap();
                for id in &page.ids {
                    assert!(store.metadata(id).await.unwrap().is_some());
                }
                assert!(shard < 8 || page.ids.is_empty() && page.next.is_none(), "there is no shard {shard}");
            }
        }
    }
    assert_eq!(store.ids(Cursor::START, 1_000).await.unwrap().ids.len(), 500);
}
