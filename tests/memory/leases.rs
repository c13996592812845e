//! Leases: acquired, extended, released, expired; and waiters are woken.

use std::time::Duration;

use session_layer::{
    MemoryStore, SessionStore,
    store::{Acquire, Clearing, Holder, Leases, Rename, SessionStatus, Update, Usage},
};

use super::support::{MINUTE, clock, create, id, record};

#[tokio::test]
async fn a_lease_is_capped_at_the_longest_lease() {
    let clock = clock();
    let store = MemoryStore::builder().longest_lease(MINUTE).clock(clock.clone()).open().unwrap();
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    let holder = Holder::from_u128(1);
    let until = Acquire::acquired(clock.now() + MINUTE);
    assert_eq!(store.acquire(&id("a"), holder, 9 * MINUTE).await.unwrap(), until);
    // A lease without a time lasts as long as the longest allowed.
    assert_eq!(store.acquire(&id("a"), holder, Duration::ZERO).await.unwrap(), until);
    let metadata = store.metadata(&id("a")).await.unwrap().unwrap();
    assert_eq!((metadata.status, metadata.leased_until), (SessionStatus::Leased, Some(clock.now() + MINUTE)));
    clock.advance(MINUTE);
    assert_eq!(store.metadata(&id("a")).await.unwrap().unwrap().status, SessionStatus::Active);
    assert!(!store.release(&id("a"), holder).await.unwrap(), "it ended by itself");
}

/// The second holder's lease changes the version, so the first holder can't commit over it.
#[tokio::test]
async fn a_holder_whose_lease_ran_out_conflicts_with_the_next() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    let session = record(&clock, None);
    create(&store, &id("a"), &session, &clock).await;
    store.acquire(&id("a"), Holder::from_u128(1), MINUTE).await.unwrap();
    let seen = store.load(&id("a")).await.unwrap().unwrap().version;
    clock.advance(MINUTE);
    assert!(matches!(store.acquire(&id("a"), Holder::from_u128(2), MINUTE).await.unwrap(), Acquire::Acquired { .. }));
    let late = store.update(&id("a"), &session, &seen, Usage::at(&session, clock.now())).await.unwrap();
    assert_eq!(late, Update::Conflict(None));
}

/// However a lease ends, a waiter is woken at once and does not wait for the hour to pass.
#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_when_the_lease_ends() {
    for how in ["unlock", "remove", "rename", "clear", "evict"] {
        let clock = clock();
        let store = MemoryStore::builder().capacity(1).longest_lease(60 * MINUTE).clock(clock.clone()).open().unwrap();
        let session = record(&clock, None);
        create(&store, &id("a"), &session, &clock).await;
        let holder = Holder::from_u128(1);
        store.acquire(&id("a"), holder, 60 * MINUTE).await.unwrap();
        let began = tokio::time::Instant::now();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.released(&id("a"), 60 * MINUTE).await }
        });
        // The waiter is waiting.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        match how {
            "unlock" => assert!(store.release(&id("a"), holder).await.unwrap()),
            "remove" => assert!(store.remove(&id("a")).await.unwrap()),
            "clear" => assert_eq!(store.clear().await.unwrap(), 1),
            "evict" => drop(create(&store, &id("b"), &session, &clock).await),
            _ => {
                let version = store.load(&id("a")).await.unwrap().unwrap().version;
                let usage = Usage::at(&session, clock.now());
                let renamed = store
                    .rename(&id("a"), &version, &crate::support::tombstone(clock.now()), &id("b"), &session, usage)
                    .await
                    .unwrap();
                assert!(matches!(renamed, Rename::Renamed(_)));
            }
        }
        waiting.await.unwrap();
        assert!(began.elapsed() < MINUTE, "{how}");
    }
}

/// If nobody releases a lease, the wait lasts to the lease's end and no longer.
#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_lease() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    create(&store, &id("a"), &record(&clock, None), &clock).await;
    store.acquire(&id("a"), Holder::from_u128(1), Duration::from_secs(20)).await.unwrap();
    let began = tokio::time::Instant::now();
    store.released(&id("a"), 60 * MINUTE).await;
    assert_eq!(began.elapsed().as_secs(), 20);
    store.released(&id("a"), Duration::from_secs(5)).await;
    assert_eq!(began.elapsed().as_secs(), 25);
    store.released(&id("nobody"), 60 * MINUTE).await;
    assert_eq!(began.elapsed().as_secs(), 25);
}
