//! Scenarios of requests that take turns, and of owners with a limit of sessions.

use std::time::Duration;

use http::StatusCode;
use session_layer::{
    AtLimit, Clock, Error, ErrorKind, MemoryStore, Session, SessionLayer,
    conformance::{
        Operation,
        fault::{Fault, FaultStore, Step},
    },
};

use crate::support::*;

async fn read(_: Session) {}

/// A layer whose requests take turns and never wait, and a browser with a session.
async fn in_turn(seen: &Seen) -> (FaultStore<MemoryStore>, Browser) {
    let clock = clock();
    let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
    let layer = over(store.clone(), seen, &clock, |builder| builder.exclusive(Duration::ZERO));
    let mut browser = Browser::new(layer);
    assert_eq!(browser.visit(async |session: Session| session.insert("n", 1)).await, StatusCode::OK);
    seen.all();
    (store, browser)
}

pub(crate) async fn a_turn_that_is_refused(seen: Seen) {
    let (_, mut browser) = in_turn(&seen).await;
    let id = id_of(browser.cookie.as_deref().unwrap());
    let lease = browser.layer.sessions().lease(&id, MINUTE).await.unwrap().unwrap();
    seen.all();
    assert_eq!(browser.visit(read).await, StatusCode::LOCKED);
    let told = seen.all();
    lease.release().await.unwrap();
    seen.all();
    seen.put_back(told.into_iter());
}

pub(crate) async fn a_lease_that_is_not_given_back(seen: Seen) {
    let (store, mut browser) = in_turn(&seen).await;
    store.inject(Fault::unavailable().on(Operation::Release));
    assert_eq!(browser.visit(read).await, StatusCode::OK);
}

fn limited(store: FaultStore<MemoryStore>, seen: &Seen, clock: &Clock, at_limit: AtLimit) -> SessionLayer {
    over(store, seen, clock, |builder| builder.sessions_per_owner(1, at_limit))
}

fn store(clock: &Clock) -> FaultStore<MemoryStore> {
    FaultStore::new(MemoryStore::with_clock(clock.clone()))
}

async fn login(layer: &SessionLayer) -> Result<(), Error> {
    let session = layer.new_session();
    session.login("ada")?;
    session.save().await
}

pub(crate) async fn a_login_that_is_refused(seen: Seen) {
    let clock = clock();
    let layer = limited(store(&clock), &seen, &clock, AtLimit::Refuse);
    login(&layer).await.unwrap();
    seen.all();
    assert_eq!(login(&layer).await.unwrap_err().kind(), ErrorKind::TooManySessions);
}

pub(crate) async fn a_session_that_makes_room(seen: Seen) {
    let clock = clock();
    let layer = limited(store(&clock), &seen, &clock, AtLimit::EndOldest);
    login(&layer).await.unwrap();
    seen.all();
    login(&layer).await.unwrap();
}

/// Two processes each let a login in to the same last place.
async fn one_too_many(seen: &Seen, faults: impl FnOnce(&FaultStore<MemoryStore>)) {
    let clock = clock();
    let store = store(&clock);
    let layer = limited(store.clone(), seen, &clock, AtLimit::EndOldest);
    let other = FaultStore::new(store.inner().clone());
    let other = limited(other, &Seen::default(), &clock, AtLimit::EndOldest);
    let gate = store.pause(Operation::Create, Step::Before);
    let first = async { login(&layer).await.unwrap() };
    let second = async {
        gate.reached().await;
        // The sessions' age decides which of them ends; with equal ages, the ids would.
        clock.advance(MINUTE);
        login(&other).await.unwrap();
        faults(&store);
        gate.release();
    };
    tokio::join!(first, second);
}

pub(crate) async fn a_session_too_many(seen: Seen) {
    one_too_many(&seen, |_| ()).await;
}

pub(crate) async fn a_session_too_many_that_can_not_be_ended(seen: Seen) {
    one_too_many(&seen, |store| store.inject(Fault::unavailable().on(Operation::End))).await;
}

pub(crate) async fn sessions_that_can_not_be_counted_again(seen: Seen) {
    let clock = clock();
    let store = store(&clock);
    let layer = limited(store.clone(), &seen, &clock, AtLimit::EndOldest);
    store.inject(Fault::unavailable().on(Operation::ListOwner).nth(2));
    login(&layer).await.unwrap();
}
