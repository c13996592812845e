//! Sessions that begin, change their token or end, stores that fail, nested layers.

use axum::{Extension, Router, routing::any};
use http::StatusCode;
use session_layer::{
    CookieConfig, Error, LazySession, Session, SessionHandle,
    conformance::{Operation, fault::Fault},
    store::StoreErrorKind,
};
use tower::ServiceExt as _;
use tracing::Level;

use crate::{
    site::{Events, Site, answered, request},
    support::*,
};

/// Without a session there is nothing to lease, and a made-up token takes no lease and waits for nobody.
#[tokio::test]
async fn a_visitor_without_a_session_takes_no_turn() {
    let site = site();
    let mut jar = site.jar();
    assert_eq!(site.visit(&mut jar, quick).await.status, StatusCode::OK);
    assert_eq!(site.store.calls(Operation::Acquire), 0);
    assert!(free(&site, &jar).await);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "1");
    // Sessions are leased from their second request on.
    let calls = site.store.calls(Operation::Acquire);
    assert_eq!(site.visit(&mut jar, quick).await.status, StatusCode::OK);
    assert_eq!(site.store.calls(Operation::Acquire), calls + 1);
    let mut unknown = site.jar();
    unknown.value = Some("0123456789abcdefghijklmnopqrstuv".to_owned());
    assert_eq!(site.visit(&mut unknown, quick).await.status, StatusCode::OK);
    assert_ne!(unknown.value.as_deref(), Some("0123456789abcdefghijklmnopqrstuv"), "the token was adopted");
    assert_eq!(site.store.calls(Operation::Acquire), calls + 1);
}

/// The session gets another token while a request waits for it. The waiting request was to lease the old id, so it sees
/// a superseded session, like any late request.
#[tokio::test]
async fn after_a_login_a_waiting_request_is_superseded() {
    let site = site();
    let mut jar = site.visitor().await;
    let old = jar.clone();
    let hold = Hold::new();
    let held = hold.clone();
    let login = async move |session: Session| {
        session.login("ada")?;
        held.here().await;
        session.insert("n", 9)
    };
    let login = tokio::spawn(site.send(&old, login));
    hold.reached(1).await;
    let writing = tokio::spawn(site.send(&old, quick));
    let reading = tokio::spawn(site.send(&old, async |session: Session| session.is_new().to_string()));
    asked(&site, 2).await;
    hold.release();
    jar.absorb(&login.await.unwrap());
    let (writing, reading) = (writing.await.unwrap(), reading.await.unwrap());
    assert_eq!((writing.status, writing.sets_no_cookie()), (StatusCode::CONFLICT, true));
    assert_eq!((reading.body.as_str(), reading.sets_no_cookie()), ("true", true));
    assert_ne!(jar.value, old.value);
    // The new token works at once, and no lease of the old one is left.
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "10");
    assert!(free(&site, &jar).await);
    assert!(format!("{:?}", site.layer).contains("leases: Lines { sessions: 0 }"));
}

/// The session ends while a request waits for it. The request does not bring it back.
#[tokio::test]
async fn after_a_logout_a_waiting_request_has_no_session() {
    let site = site();
    let jar = site.visitor().await;
    let hold = Hold::new();
    let held = hold.clone();
    let logout = async move |session: Session| {
        session.destroy()?;
        held.here().await;
        Ok::<_, Error>(())
    };
    let logout = tokio::spawn(site.send(&jar, logout));
    hold.reached(1).await;
    let next = async |session: Session| format!("{} {:?}", session.is_new(), session.get::<u64>("n"));
    let next = tokio::spawn(site.send(&jar, next));
    asked(&site, 2).await;
    hold.release();
    assert_eq!(logout.await.unwrap().cookies().len(), 1, "removed");
    let next = next.await.unwrap();
    assert_eq!((next.body.as_str(), next.sets_no_cookie()), ("true Ok(None)", true));
    assert!(site.stored(&jar.id()).await.is_none());
    assert!(format!("{:?}", site.layer).contains("leases: Lines { sessions: 0 }"));
}

/// A logout takes no turn, and the request that has its turn can't save any more.
#[tokio::test(start_paused = true)]
async fn a_lazy_logout_takes_no_turn() {
    let site = site();
    let jar = site.visitor().await;
    let (request, hold) = holding(&site, &jar).await;
    let begun = tokio::time::Instant::now();
    let logout = async |lazy: LazySession| Ok::<_, Error>(lazy.destroy().await?.to_string());
    let reply = site.send(&jar, logout).await;
    assert_eq!((reply.body.as_str(), reply.cookies().len()), ("true", 1));
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
    hold.release();
    let reply = request.await.unwrap();
    assert_eq!((reply.status, reply.sets_no_cookie()), (StatusCode::OK, true), "as if it had been first");
    assert!(site.stored(&jar.id()).await.is_none());
    // In a request that has extracted the session before, it takes part in the turn.
    let jar = site.visitor().await;
    let both = async |_: Session, lazy: LazySession| Ok::<_, Error>(lazy.destroy().await?.to_string());
    assert_eq!(site.send(&jar, both).await.body, "true");
    assert!(site.stored(&jar.id()).await.is_none());
    assert!(format!("{:?}", site.layer).contains("leases: Lines { sessions: 0 }"));
}

/// The lease is given back, and the visitor has no session.
#[tokio::test]
async fn a_session_revoked_while_a_request_waits_is_gone() {
    let site = site();
    let jar = site.member("ada").await;
    let (request, hold) = holding(&site, &jar).await;
    let next = tokio::spawn(site.send(&jar, async |session: Session| session.is_new().to_string()));
    asked(&site, 2).await;
    site.store.inject(Fault::unavailable().on(Operation::End));
    site.layer.sessions().revoke_all("ada").await.unwrap();
    site.store.heal();
    hold.release();
    assert_eq!(next.await.unwrap().body, "true");
    request.await.unwrap();
    assert!(format!("{:?}", site.layer).contains("leases: Lines { sessions: 0 }"));
}

/// The first request with a session detects that the store has no leases. That is an error other than an outage, and an
/// event.
#[tokio::test]
async fn a_store_without_leases_is_an_error() {
    let (events, _kept) = Events::keep();
    let site = site();
    let mut jar = site.jar();
    assert_eq!(site.visit(&mut jar, quick).await.status, StatusCode::OK);
    site.store.inject(Fault::error(StoreErrorKind::Unsupported).on(Operation::Acquire));
    let reply = site.send(&jar, quick).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert_eq!((reply.header("retry-after"), reply.sets_no_cookie()), (String::new(), true));
    assert_eq!(events.count(Level::ERROR, "session not loaded"), 1);
    assert!(
        events.all().iter().any(|event| event.contains("the store does not support this operation")),
        "{:?}",
        events.all()
    );
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "1");
}

/// The failure is an error at every call of the store, never an empty session.
#[tokio::test]
async fn a_store_that_fails_while_a_turn_is_taken_is_an_error() {
    let site = site_that_loads_again();
    let jar = site.visitor().await;
    let outages = [
        (Fault::unavailable().on(Operation::Acquire), StatusCode::SERVICE_UNAVAILABLE),
        (Fault::outcome_unknown().on(Operation::Acquire), StatusCode::SERVICE_UNAVAILABLE),
        (Fault::unavailable().on(Operation::Load).nth(2), StatusCode::SERVICE_UNAVAILABLE),
        (Fault::corrupt().nth(2), StatusCode::INTERNAL_SERVER_ERROR),
    ];
    for (fault, status) in outages {
        let case = format!("{fault:?}");
        site.store.inject(fault);
        assert_eq!(site.send(&jar, quick).await.status, status, "{case}");
        site.store.heal();
        assert_eq!(site.entry(&jar, "n").await.unwrap(), "1", "{case}");
        // A lease already taken is given back in the background.
        let lease = site.layer.sessions().lease_within(&jar.id(), LEASE, LEASE).await.unwrap().unwrap();
        assert!(lease.release().await.unwrap(), "{case}");
    }
    // A record can no longer be opened when its request's turn comes. The visitor starts over if the policy says so.
    let base = Site::new();
    let site = Site::over(Eager(base.store.clone()), base.store, base.clock, |builder| {
        builder.exclusive(WAIT).damaged_policy(session_layer::DamagedPolicy::StartOver)
    });
    let jar = site.visitor().await;
    site.store.inject(Fault::corrupt().nth(2));
    assert_eq!(site.send(&jar, async |session: Session| session.is_new().to_string()).await.body, "true");
    site.store.heal();
    assert!(free(&site, &jar).await);
}

/// Two layers with different names each lease their session, and both leases are given back.
#[tokio::test]
async fn nested_layers_take_a_turn_each() {
    let outer = site();
    let inner = Site::over(outer.outer.clone(), outer.store.clone(), outer.clock.clone(), |builder| {
        builder.exclusive(WAIT).cookie(CookieConfig::new("inner"))
    });
    let handler = async |Extension(handle): Extension<SessionHandle>, session: Session, headers: http::HeaderMap| {
        let same = handle.session(&headers).await.unwrap();
        session.update("n", |n: &mut u64| *n += 1).unwrap();
        (same.id() == session.id()).to_string()
    };
    // Between the two: the outer layer's session.
    let between = axum::middleware::from_fn(async |session: Session, request, next: axum::middleware::Next| {
        session.update("n", |n: &mut u64| *n += 1).unwrap();
        next.run(request).await
    });
    let router =
        Router::new().route("/", any(handler)).layer(inner.layer.clone()).layer(between).layer(outer.layer.clone());
    let first = answered(router.clone().oneshot(request(None)).await.unwrap()).await;
    let pairs: Vec<_> = first.cookies().iter().map(|line| line.split(';').next().unwrap().to_owned()).collect();
    assert_eq!(pairs.len(), 2);
    assert_eq!(outer.store.calls(Operation::Acquire), 0);
    let second = answered(router.oneshot(request(Some(&pairs.join("; ")))).await.unwrap()).await;
    assert_eq!((second.status, second.body.as_str()), (StatusCode::OK, "true"));
    assert_eq!((outer.store.calls(Operation::Acquire), outer.store.calls(Operation::Release)), (2, 2));
    for pair in &pairs {
        let site = if pair.starts_with("__Host-inner") { inner.clone().named("__Host-inner") } else { outer.clone() };
        let mut jar = site.jar();
        jar.value = Some(pair.split_once('=').unwrap().1.to_owned());
        assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
        assert!(free(&site, &jar).await);
    }
}
