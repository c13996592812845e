//! `ObservedStore` as a store, and the ways to give observers to stores.

use std::sync::{Arc, Mutex};

use session_layer::{
    DynStore, Event, MemoryStore, ObservedStore, Session, SessionLayer, Sessions,
    conformance::{self, Harness},
    connect_observed,
};

use crate::support::*;

async fn observed() -> Harness {
    let clock = conformance::manual_clock();
    let store = ObservedStore::new(MemoryStore::with_clock(clock.clone()), |_: &Event<'_>| {});
    Harness::new(store.clone(), clock).expects_all().twin(store).refuses(9 << 20).rounds(50)
}

mod kit {
    session_layer::conformance::tests!(super::observed);
}

#[tokio::test]
async fn every_method_is_forwarded() {
    let clock = conformance::manual_clock();
    let wrap = |store| ObservedStore::new(store, |_: &Event<'_>| {});
    let forwarding = conformance::forwarding(MemoryStore::with_clock(clock.clone()), &clock, wrap).await;
    forwarding.assert_all_but(&[]);
    assert!(forwarding.name);
}

#[tokio::test]
async fn sessions_outside_of_requests_have_their_own_observer() {
    let (seen, store) = (Seen::default(), MemoryStore::new());
    let session = Session::new(store.clone());
    session.insert("n", &1).unwrap();
    session.save().await.unwrap();
    let sessions = seen.watch(None, |_, observer| Some(Sessions::observed(store.clone(), observer))).unwrap();
    assert_eq!(sessions.count().await.unwrap(), 1);
    assert!(sessions.remove(&session.id().unwrap()).await.unwrap());
    assert_eq!(seen.all(), ["call count done 1", "call load done #1 +", "call end done #1", "destroyed #1"]);
}

#[tokio::test]
async fn a_store_from_a_url_can_be_observed() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file:{}?cache=100", dir.path().display());
    for (url, expected) in [("memory:?capacity=1", "evicted #1 +"), (url.as_str(), "cache_hit true #1")] {
        let seen = Seen::default();
        let store = connect_observed(url, seen.clone()).await.unwrap();
        let mut browser = Browser::new(SessionLayer::new(store));
        browser.visit(async |session: Session| session.insert("n", &1)).await;
        browser.visit(async |_: Session| ()).await;
        send(&browser.layer, &[], async |session: Session| session.insert("n", &1)).await;
        assert_eq!(seen.all(), [expected], "{url}");
    }
}

/// Events name the kind of store as the store itself does.
#[tokio::test]
async fn events_name_the_kind_of_store() {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&kinds);
    let observer = move |event: &Event<'_>| told.lock().unwrap().push(event.store);
    let store = conformance::fault::FaultStore::new(MemoryStore::new()).posing_as("shelf", true);
    let layer = SessionLayer::builder(DynStore::new(store)).observe(observer).build().unwrap();
    send(&layer, &[], async |session: Session| session.insert("n", &1)).await;
    assert_eq!(*kinds.lock().unwrap(), ["shelf"; 3]);
}
