//! Order and limits of waiting.

use std::time::Duration;

use http::StatusCode;
use session_layer::{Error, ErrorKind, LazySession, MemoryStore, Session, conformance::Operation};
use tokio::{task::JoinSet, time::Instant};
use tracing::Level;

use crate::{
    site::{Events, Site},
    support::*,
};

/// One request has the lease, one asks the store, 32 wait behind it, and the next is answered at once.
#[tokio::test(start_paused = true)]
async fn the_line_holds_33_waiting_requests() {
    let (events, _kept) = Events::keep();
    let site = site();
    let jar = site.visitor().await;
    let (first, hold) = holding(&site, &jar).await;
    asked(&site, 1).await;
    let mut line = JoinSet::new();
    for _ in 0..33 {
        line.spawn(site.send(&jar, quick));
    }
    asked(&site, 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.store.calls(Operation::Acquire), 2, "one of them asks the store");
    let begun = Instant::now();
    for _ in 0..3 {
        let reply = site.send(&jar, quick).await;
        assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::LOCKED, "10".to_owned()));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "at once");
    assert_eq!(events.count(Level::INFO, "session in use by another request"), 3);
    hold.release();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    for reply in line.join_all().await {
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(site.entry(&jar, "n").await.unwrap(), (1 + 34).to_string());
    // There is room again, and another session has its own line.
    let (first, hold) = holding(&site, &jar).await;
    let other = site.visitor().await;
    assert_eq!(site.send(&other, quick).await.status, StatusCode::OK);
    let next = tokio::spawn(site.send(&jar, quick));
    hold.release();
    assert_eq!((first.await.unwrap().status, next.await.unwrap().status), (StatusCode::OK, StatusCode::OK));
}

/// First come, first served.
#[tokio::test(start_paused = true)]
async fn in_one_process_requests_run_in_order_of_arrival() {
    let site = site();
    let jar = site.visitor().await;
    let (first, hold) = holding(&site, &jar).await;
    let mut line = Vec::new();
    for number in 0..20_u8 {
        let append = async move |session: Session| {
            let mut seen: Vec<u8> = session.get("seen")?.unwrap_or_default();
            seen.push(number);
            session.insert("seen", &seen)
        };
        line.push(tokio::spawn(site.send(&jar, append)));
        tokio::task::yield_now().await;
    }
    hold.release();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    for request in line {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    let seen: Vec<u8> = serde_json::from_str(&site.entry(&jar, "seen").await.unwrap()).unwrap();
    assert_eq!(seen, (0..20).collect::<Vec<u8>>());
}

/// The answer reveals nothing internal, and is not cached.
#[tokio::test(start_paused = true)]
async fn a_request_that_waited_too_long_is_423() {
    let site = Site::with(|builder| builder.exclusive(Duration::from_millis(2_500)));
    let jar = site.visitor().await;
    let (first, hold) = holding(&site, &jar).await;
    let begun = Instant::now();
    // One request asks the store, and one waits behind it.
    let (asking, behind) = tokio::join!(site.send(&jar, quick), site.send(&jar, quick));
    assert_eq!(begun.elapsed(), Duration::from_millis(2_500));
    for reply in [asking, behind] {
        assert_eq!(reply.status, StatusCode::LOCKED);
        assert_eq!(reply.header("retry-after"), "3", "whole seconds, rounded up");
        assert_eq!((reply.header("vary"), reply.header("cache-control")), ("Cookie".to_owned(), "private".to_owned()));
        assert_eq!(reply.body, "the session is in use by other requests: try again later");
        assert!(reply.sets_no_cookie());
    }
    // A handler can deal with the rejection itself. Within one request the lease is requested once.
    let own = async |lazy: LazySession, asked: Result<Session, Error>| {
        let rejection = asked.unwrap_err();
        assert_eq!(rejection.retry_after(), Some(3));
        assert_eq!(lazy.session().await.unwrap_err().kind(), rejection.kind());
        format!("{:?} {}", rejection.kind(), rejection.status())
    };
    let calls = site.store.calls(Operation::Acquire);
    assert_eq!(site.send(&jar, own).await.body, format!("{:?} 423 Locked", ErrorKind::Locked));
    assert!(site.store.calls(Operation::Acquire) > calls);
    hold.release();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn with_no_time_to_wait_nobody_waits() {
    let site = Site::with(|builder| builder.exclusive(Duration::ZERO));
    let jar = site.visitor().await;
    let begun = Instant::now();
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    let (first, hold) = holding(&site, &jar).await;
    let reply = site.send(&jar, quick).await;
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::LOCKED, "1".to_owned()));
    hold.release();
    first.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // A request without a limit waits as long as necessary.
    let site = Site::with(|builder| builder.exclusive(Duration::MAX));
    let jar = site.visitor().await;
    let (first, hold) = holding(&site, &jar).await;
    let line: Vec<_> = (0..33).map(|_| tokio::spawn(site.send(&jar, quick))).collect();
    asked(&site, 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let reply = site.send(&jar, quick).await;
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::LOCKED, "30".to_owned()), "a lease's time");
    hold.release();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    for request in line {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
}

/// A lease taken by a job with `Sessions::lease` counts like any other. When it ends, a request gets its turn.
#[tokio::test(start_paused = true)]
async fn leases_of_jobs_are_honoured() {
    let site = site();
    let jar = site.visitor().await;
    let sessions = site.layer.sessions();
    let lease = sessions.lease(&jar.id(), LEASE).await.unwrap().unwrap();
    let begun = Instant::now();
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::LOCKED);
    assert_eq!(begun.elapsed(), WAIT);
    let session = lease.session().await.unwrap().unwrap();
    session.insert("n", 41).unwrap();
    session.save().await.unwrap();
    let calls = site.store.calls(Operation::Acquire);
    let waiting = tokio::spawn(site.send(&jar, quick));
    asked(&site, calls + 1).await;
    assert!(lease.release().await.unwrap());
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "42");
    // And the reverse.
    let (request, hold) = holding(&site, &jar).await;
    assert!(sessions.lease(&jar.id(), LEASE).await.unwrap().is_none());
    hold.release();
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    assert!(free(&site, &jar).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_session_does_not_wait() {
    let site = site();
    let jar = site.visitor().await;
    let (first, hold) = holding(&site, &jar).await;
    let calls = site.store.calls(Operation::Acquire);
    assert_eq!(site.send(&jar, async || "page").await.status, StatusCode::OK);
    let lazily = async |lazy: LazySession| lazy.has_cookie().to_string();
    assert_eq!(site.send(&jar, lazily).await.body, "true");
    assert_eq!(site.store.calls(Operation::Acquire), calls);
    hold.release();
    first.await.unwrap();
}

/// On one thread, waiting requests let the holder continue.
#[tokio::test]
async fn a_store_whose_wait_returns_at_once_does_not_starve_the_holder() {
    let base = Site::new();
    let store = Eager(MemoryStore::with_clock(base.clock.clone()));
    let site = Site::over(store, base.store, base.clock, |builder| builder.exclusive(WAIT));
    let mut jar = site.jar();
    assert_eq!(site.visit(&mut jar, quick).await.status, StatusCode::OK);
    let (first, hold) = holding(&site, &jar).await;
    let next = tokio::spawn(site.send(&jar, quick));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    hold.release();
    assert_eq!((first.await.unwrap().status, next.await.unwrap().status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(site.layer.sessions().get::<u64>(&jar.id(), "n").await.unwrap(), Some(3));
}

/// The same while waiting for a lease from outside.
#[tokio::test]
async fn waiting_for_a_lease_does_not_starve_its_holder() {
    let base = Site::new();
    let store = Eager(MemoryStore::with_clock(base.clock.clone()));
    let site = Site::over(store, base.store, base.clock, |builder| builder);
    let mut jar = site.jar();
    site.visit(&mut jar, quick).await;
    let (sessions, id) = (site.layer.sessions(), jar.id());
    let held = sessions.lease(&id, LEASE).await.unwrap().unwrap();
    let next = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.lease_within(&id, LEASE, WAIT).await }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(held.release().await.unwrap());
    assert!(next.await.unwrap().unwrap().is_some());
}
