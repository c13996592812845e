//! `Sessions` as a dictionary, over every store that can list.

use std::{collections::HashSet, time::Duration};

use session_layer::{
    Clock, ErrorKind, FileStore, MemoryStore, SessionId, SessionLayer, SessionStore, Sessions,
    conformance::Operation,
    conformance::fault::{Fault, FaultStore},
    store::{Cursor, Listing, StoreErrorKind},
};

use crate::support::{clock, files, layer, member};

async fn all(sessions: &Sessions) -> Vec<SessionId> {
    let (mut ids, mut all) = (Vec::new(), sessions.iter());
    while let Some(session) = all.next().await.unwrap() {
        ids.push(session.id().unwrap());
    }
    ids
}

async fn reads_like_a_map(store: impl SessionStore + Clone, clock: Clock) {
    let layer = layer(store, &clock);
    let sessions = layer.sessions();
    assert!(sessions.is_empty().await.unwrap());
    assert_eq!((sessions.count().await.unwrap(), all(&sessions).await.len()), (0, 0));
    let (ada, bob) = (member(&layer, "ada").await, member(&layer, "bob").await);
    assert!(sessions.contains(&ada).await.unwrap());
    assert_eq!(sessions.open(&ada).await.unwrap().unwrap().get::<u64>("n").unwrap(), Some(1));
    assert!(!sessions.is_empty().await.unwrap());
    assert_eq!(sessions.count().await.unwrap(), 2);
    assert_eq!(all(&sessions).await.into_iter().collect::<HashSet<_>>(), HashSet::from([ada, bob]));
    assert_eq!(sessions.get_or_insert(&ada, "m", 7_u64).await.unwrap(), Some(7));
    assert_eq!(sessions.take::<u64>(&ada, "m").await.unwrap(), Some(7));
    assert!(sessions.end(&ada).await.unwrap());
    assert!(!sessions.end(&ada).await.unwrap());
    assert!(!sessions.contains(&ada).await.unwrap());
    assert_eq!(all(&sessions).await, [bob]);
    // Expired sessions count as absent.
    clock.advance(Duration::from_secs(3_600));
    assert!(!sessions.contains(&bob).await.unwrap());
    assert!(sessions.open(&bob).await.unwrap().is_none());
    assert!(sessions.is_empty().await.unwrap());
    let eve = member(&layer, "eve").await;
    assert_eq!(all(&sessions).await, [eve]);
    sessions.end_all().await.unwrap();
    assert!(sessions.is_empty().await.unwrap());
}

/// Every session that exists throughout is listed once, whatever is created and removed in the meantime.
async fn iteration_goes_on_beside_writers(
    store: impl SessionStore + Listing + Clone,
    layer: SessionLayer,
    number: usize,
) {
    let (mut stay, mut go) = (HashSet::new(), Vec::new());
    for at in 0..number {
        stay.insert(member(&layer, &format!("stays {at}")).await);
        go.push(member(&layer, &format!("goes {at}")).await);
    }
    let (mut seen, mut all) = (HashSet::new(), layer.sessions().iter());
    while let Some(session) = all.next().await.unwrap() {
        let id = session.id().unwrap();
        assert!(seen.insert(id), "{id} came twice");
        if let Some(gone) = go.pop() {
            store.remove(&gone).await.unwrap();
            member(&layer, "comes").await;
        }
    }
    assert!(stay.is_subset(&seen), "{} are missing", stay.difference(&seen).count());
    assert_eq!(store.ids(Cursor::START, 10_000).await.unwrap().ids.len(), 2 * number);
}

#[tokio::test]
async fn the_memory_store_reads_like_a_map() {
    let clock = clock();
    reads_like_a_map(MemoryStore::with_clock(clock.clone()), clock).await;
}

#[tokio::test]
async fn the_file_store_reads_like_a_map() {
    let clock = clock();
    let (_folder, store): (_, FileStore) = files(&clock).await;
    reads_like_a_map(store, clock).await;
}

#[tokio::test]
async fn iteration_over_the_memory_store_goes_on_beside_writers() {
    let clock = clock();
    let store = MemoryStore::builder().capacity(20_000).clock(clock.clone()).open().unwrap();
    iteration_goes_on_beside_writers(store.clone(), layer(store, &clock), 2_000).await;
}

#[tokio::test]
async fn iteration_over_the_file_store_goes_on_beside_writers() {
    let clock = clock();
    let (_folder, store) = files(&clock).await;
    iteration_goes_on_beside_writers(store.clone(), layer(store, &clock), 300).await;
}

#[tokio::test]
async fn iteration_goes_on_after_an_error() {
    let clock = clock();
    let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
    let layer = layer(store.clone(), &clock);
    let (first, second) = (member(&layer, "ada").await, member(&layer, "bob").await);
    let mut all = layer.sessions().iter();
    store.inject(Fault::unavailable().on(Operation::Ids).first(1));
    assert_eq!(all.next().await.unwrap_err().kind(), ErrorKind::Unavailable);
    store.heal();
    store.inject(Fault::corrupt().session(&first));
    let (mut opened, mut damaged) = (Vec::new(), 0);
    loop {
        match all.next().await {
            Ok(Some(session)) => opened.push(session.id().unwrap()),
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged);
                damaged += 1;
            }
        }
    }
    assert_eq!((opened, damaged), (vec![second], 1));
}

#[tokio::test]
async fn a_store_that_can_not_list_says_so() {
    let clock = clock();
    let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
    let sessions = layer(store.clone(), &clock).sessions();
    store.inject(Fault::error(StoreErrorKind::Unsupported).on(Operation::Ids));
    assert_eq!(sessions.is_empty().await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(sessions.iter().next().await.unwrap_err().kind(), ErrorKind::Unsupported);
}
