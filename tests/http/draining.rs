//! A shutdown waits for work that outlives its caller.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use session_layer::{
    ErrorKind, Session, SessionLayer,
    conformance::{Operation, fault::Fault},
    store::Listing,
};
use tokio::time::timeout;

use crate::support::*;

/// Whether the drain still waits when nothing else can happen. Time is paused until then.
async fn waits(drain: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    timeout(Duration::from_secs(1), drain).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_login_of_a_request_that_was_dropped_during_its_commit() {
    let site = Site::new();
    site.layer.drain().await;
    let (fault, gate) = Fault::pause();
    site.store.inject(fault.on(Operation::Create));
    let request = tokio::spawn(site.send(&site.jar(), async |session: Session| session.login("ada")));
    gate.reached().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let mut drain = pin!(site.layer.drain());
    assert!(waits(&mut drain).await);
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
    gate.release();
    drain.await;
    assert_eq!(site.layer.sessions().of_owner("ada").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_logout_of_a_request_that_was_dropped_in_its_handler() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (fault, gate) = Fault::pause();
    site.store.inject(fault.on(Operation::End));
    let stop = Stop::new();
    let inside = stop.clone();
    let request = tokio::spawn(site.send(&jar, async move |session: Session| {
        session.destroy().unwrap();
        inside.here().await;
    }));
    stop.reached().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let mut drain = pin!(site.layer.drain());
    tokio::select! {
        () = &mut drain => panic!("the session is not ended yet"),
        () = gate.reached() => gate.release(),
    }
    drain.await;
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_what_streams_save_and_for_what_begins_meanwhile() {
    let site = Site::new();
    let jar = site.visitor().await;
    let slot: Arc<Mutex<Option<Session>>> = Arc::default();
    let kept = Arc::clone(&slot);
    let reply = site.send(&jar, async move |session: Session| *kept.lock().unwrap() = Some(session)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let stream = slot.lock().unwrap().take().unwrap();
    let (update, updates) = Fault::pause();
    let (create, creates) = Fault::pause();
    site.store.inject(update.on(Operation::Update));
    site.store.inject(create.on(Operation::Create));
    stream.insert("n", 2).unwrap();
    let save = tokio::spawn(async move { stream.save().await });
    updates.reached().await;
    save.abort();
    assert!(save.await.unwrap_err().is_cancelled());

    let mut drain = pin!(site.layer.drain());
    assert!(waits(&mut drain).await);
    // A login begins, and its client disconnects.
    let login = tokio::spawn(site.send(&site.jar(), async |session: Session| session.login("ada")));
    creates.reached().await;
    login.abort();
    updates.release();
    assert!(waits(&mut drain).await, "the login goes on");
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    creates.release();
    drain.await;
    assert_eq!(site.layer.sessions().of_owner("ada").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_revocations_and_only_for_those_of_its_layer() {
    let site = Site::new();
    site.member("ada").await;
    let (fault, gate) = Fault::pause();
    site.store.inject(fault.on(Operation::RenewEpoch));
    let sessions = site.layer.sessions();
    let revoke = tokio::spawn(async move { sessions.revoke_all("ada").await });
    gate.reached().await;
    revoke.abort();
    SessionLayer::new(site.store.clone()).drain().await;
    let mut drain = pin!(site.layer.drain());
    assert!(waits(&mut drain).await);
    gate.release();
    drain.await;
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

/// A panic in a commit ends it as well.
#[tokio::test(start_paused = true)]
async fn drain_does_not_wait_for_what_has_panicked() {
    let site = Site::new();
    let jar = site.visitor().await;
    let other = site.layer.clone();
    let id = jar.id();
    let failed = tokio::spawn(site.send(&jar, async move |session: Session| {
        let first = std::sync::atomic::AtomicBool::new(true);
        session.update("n", move |n: &mut u8| {
            assert!(first.swap(false, std::sync::atomic::Ordering::SeqCst), "the second run panics");
            *n += 1;
        })?;
        // The closure runs again.
        other.sessions().update(&id, "n", |n: &mut u8| *n += 1).await?;
        session.save().await
    }));
    assert!(failed.await.unwrap_err().is_panic());
    site.layer.drain().await;
    assert_eq!(site.layer.open_session(id).await.unwrap().unwrap().get::<u8>("n").unwrap(), Some(2));
    assert_eq!(site.layer.new_session().revoke_all().await.unwrap_err().kind(), ErrorKind::NoOwner);
}
