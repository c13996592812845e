//! An owner's sessions are listed and ended exactly, also during renames and commits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use session_layer::{
    MemoryStore, SessionStore,
    record::{Epoch, Owner},
    store::{Listing, Owners, Rename, Usage},
};

use super::support::{clock, create, id, record, revoke};

#[tokio::test]
async fn an_owners_sessions_are_listed_and_no_others() {
    let clock = clock();
    let store = MemoryStore::with_clock(clock.clone());
    for number in 0..5 {
        create(&store, &id(format!("alice {number}")), &record(&clock, Some("alice")), &clock).await;
        create(&store, &id(format!("bob {number}")), &record(&clock, Some("bob")), &clock).await;
        create(&store, &id(number), &record(&clock, None), &clock).await;
    }
    let mut listed: Vec<_> = store.list_owner("alice").await.unwrap().into_iter().map(|owned| owned.id).collect();
    listed.sort_unstable();
    let mut expected: Vec<_> = (0..5).map(|number| id(format!("alice {number}"))).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(revoke(&store, "alice", &clock).await, 5);
    assert!(store.list_owner("alice").await.unwrap().is_empty());
    assert_eq!(store.list_owner("bob").await.unwrap().len(), 5);
    assert_eq!(store.count().await.unwrap(), 10);
}

/// One session is renamed continuously while others list. It is always listed, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_being_renamed_is_always_listed() {
    let clock = clock();
    let store = MemoryStore::builder().capacity(100_000).clock(clock.clone()).open().unwrap();
    let login = record(&clock, Some("alice"));
    let mut version = create(&store, &id(0), &login, &clock).await;
    let done = Arc::new(AtomicBool::new(false));
    let renames = tokio::spawn({
        let (store, login, clock, done) = (store.clone(), Arc::clone(&login), clock.clone(), Arc::clone(&done));
        async move {
            for number in 0..20_000 {
                let usage = Usage::at(&login, clock.now());
                version = match store
                    .rename(
                        &id(number),
                        &version,
                        &crate::support::tombstone(clock.now()),
                        &id(number + 1),
                        &login,
                        usage,
                    )
                    .await
                    .unwrap()
                {
                    Rename::Renamed(version) => version,
                    other => panic!("{other:?}"),
                };
            }
            done.store(true, Ordering::Release);
        }
    });
    let mut listed = 0u32;
    while !done.load(Ordering::Acquire) {
        assert_eq!(store.list_owner("alice").await.unwrap().len(), 1);
        listed += 1;
    }
    renames.await.unwrap();
    assert!(listed > 0);
}

/// A commit during a revocation carries the old epoch or finds the session gone, so it is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_under_way_is_revoked_too() {
    for round in 0..200 {
        let clock = clock();
        let store = MemoryStore::with_clock(clock.clone());
        let plain = record(&clock, Some("alice"));
        let usage = Usage::at(&plain, clock.now());
        let epoch = store.ensure_epoch("alice", usage).await.unwrap();
        let login = Arc::new((*plain).clone().with_owner(Some(Owner::new("alice", epoch).unwrap())));
        let version = create(&store, &id("a"), &login, &clock).await;
        let barrier = Arc::new(tokio::sync::Barrier::new(2));
        let rename = tokio::spawn({
            let (store, login, barrier) = (store.clone(), Arc::clone(&login), Arc::clone(&barrier));
            let clock = clock.clone();
            async move {
                barrier.wait().await;
                store
                    .rename(&id("a"), &version, &crate::support::tombstone(clock.now()), &id("b"), &login, usage)
                    .await
                    .unwrap();
            }
        });
        barrier.wait().await;
        revoke(&store, "alice", &clock).await;
        rename.await.unwrap();
        let present: Option<Epoch> = store.owner_epoch("alice").await.unwrap();
        for session_layer::store::ListedSession { id, stored, .. } in store.list_owner("alice").await.unwrap() {
            let stored = stored.unwrap();
            let held = stored.record.owner().unwrap().epoch();
            assert_ne!(Some(held), present, "round {round}: {id} lives");
        }
    }
}
