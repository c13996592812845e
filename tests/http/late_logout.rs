//! Logouts that come late, come twice or fail.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::StatusCode;
use session_layer::{
    ErrorKind, LazySession, Session,
    conformance::{
        Operation,
        fault::{Bare, Fault, Step},
    },
    store::Listing,
};

use crate::{stores::sites, support::*};

/// An end that can't be confirmed is an error. Step by step: the session is renewed elsewhere, its tombstone expires,
/// and a slow request asks for a logout.
#[tokio::test]
async fn a_logout_of_a_session_that_may_have_moved_on_is_an_error() {
    for (name, site) in sites() {
        let mut moved = site.visitor().await;
        let jar = moved.clone();
        let stop = Stop::new();
        let slow = {
            let (stop, runs) = (stop.clone(), Arc::new(AtomicUsize::new(0)));
            tokio::spawn(site.send(&jar, async move |session: Session| {
                runs.fetch_add(1, Ordering::SeqCst);
                stop.here().await;
                session.destroy()
            }))
        };
        stop.reached().await;
        site.visit(&mut moved, async |session: Session| session.login("ada")).await;
        site.clock.advance(2 * MINUTE);
        stop.go();
        let reply = slow.await.unwrap();
        assert_eq!(reply.status, StatusCode::CONFLICT, "{name}");
        assert!(is_live(&site, &moved).await, "{name}");
    }
}

#[tokio::test]
async fn a_second_logout_does_not_fail() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        let stop = Stop::new();
        let second = {
            let stop = stop.clone();
            tokio::spawn(site.send(&jar, async move |session: Session| {
                stop.here().await;
                session.destroy()
            }))
        };
        stop.reached().await;
        assert_eq!(site.send(&jar, async |session: Session| session.destroy()).await.status, StatusCode::OK);
        stop.go();
        let reply = second.await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert!(reply.sets_no_cookie(), "{name}: it ended nothing");
        let lazily = site.send(&jar, async |lazy: LazySession| lazy.destroy().await.map(|was| was.to_string())).await;
        assert_eq!((lazily.status, &*lazily.body), (StatusCode::OK, "false"), "{name}");
    }
}

/// A session past its absolute limit has ended in any case.
#[tokio::test]
async fn a_logout_of_a_session_past_its_absolute_limit_does_not_fail() {
    let site = Site::new();
    let jar = site.visitor().await;
    let clock = site.clock.clone();
    let handler = async move |session: Session| {
        clock.advance(25 * HOUR);
        session.destroy()
    };
    assert_eq!(site.send(&jar, handler).await.status, StatusCode::OK);
}

/// A logout that the store refused is the only failed change that is retried at the end of the request.
#[tokio::test]
async fn a_destroy_now_that_failed_is_tried_again_and_its_failure_is_the_answer() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update));
    let reply = site
        .send(&jar, async |session: Session| {
            assert_eq!(kind(session.destroy_now().await), ErrorKind::Unavailable);
            session.insert("after", 1)
        })
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.sets_no_cookie());
    site.store.heal();
    assert!(is_live(&site, &jar).await);
}

/// On a full disk nothing can be written, but a logout still takes effect.
#[tokio::test]
async fn a_logout_works_while_the_store_can_not_write() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.store.inject(Fault::unavailable().on(Operation::Update));
    let reply = site
        .send(&jar, async |session: Session| {
            session.destroy()?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

/// A store without its own `end` refuses writes, while another request renews the session. However often it is refused,
/// the logout must not remove the tombstone that leads to the renewed session and report success.
#[tokio::test]
async fn a_logout_that_is_refused_leaves_the_tombstone_of_a_renewal() {
    for refusals in [1, 3, 7, 20] {
        let below = Site::new();
        let site = Site::over(Bare(below.store.clone()), below.store.clone(), below.clock.clone(), |builder| builder);
        let jar = site.visitor().await;
        let gate = site.store.pause(Operation::Update, Step::Before);
        let logout = tokio::spawn(site.send(&jar, async |session: Session| session.destroy()));
        gate.reached().await;
        let mut renewed = jar.clone();
        below.visit(&mut renewed, async |session: Session| session.renew()).await;
        site.store.inject(Fault::unavailable().on(Operation::Update).first(refusals));
        gate.release();
        let reply = logout.await.unwrap();
        site.store.heal();
        let is_over = site.stored(&renewed.id()).await.is_none();
        assert_eq!(reply.status == StatusCode::OK, is_over, "{refusals}: {}", reply.status);
        assert_eq!(site.send(&jar, async |session: Session| session.destroy()).await.status, StatusCode::OK);
        assert!(site.stored(&renewed.id()).await.is_none(), "{refusals}: nothing leads to it any more");
    }
}
