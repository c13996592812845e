//! The end of a turn, and the commit of a request whose lease has run out.

use std::sync::Arc;

use http::StatusCode;
use session_layer::{
    Error, ErrorKind, LazySession, Session,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
};
use tokio::sync::Mutex;
use tracing::Level;

use crate::{
    site::{Events, Site},
    support::*,
};

/// The lease is given back before the answer is sent, in every case.
#[tokio::test]
async fn the_lease_is_given_back_with_the_answer() {
    let site = site();
    let jar = site.visitor().await;
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    assert!(free(&site, &jar).await);
    // A request that only reads, one dropped as a server error, one that can't be saved.
    assert_eq!(site.send(&jar, async |session: Session| session.keys().len().to_string()).await.body, "1");
    assert!(free(&site, &jar).await);
    let failing = async |session: Session| {
        session.insert("n", 7).unwrap();
        StatusCode::BAD_GATEWAY
    };
    assert_eq!(site.send(&jar, failing).await.status, StatusCode::BAD_GATEWAY);
    assert!(free(&site, &jar).await);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
    site.store.inject(Fault::unavailable().on(Operation::Update));
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::SERVICE_UNAVAILABLE);
    site.store.heal();
    assert!(free(&site, &jar).await);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
}

/// A 5xx neither touches nor saves, with or without turns.
#[tokio::test]
async fn a_server_error_does_not_count_as_a_use() {
    let site = Site::with(|builder| {
        builder.exclusive(WAIT).save_policy(session_layer::SavePolicy::Always).touch_fraction(0.0)
    });
    let jar = site.visitor().await;
    let before = site.stored(&jar.id()).await.unwrap();
    site.clock.advance(crate::site::MINUTE);
    let failing = async |_: Session| StatusCode::BAD_GATEWAY;
    assert_eq!(site.send(&jar, failing).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(site.stored(&jar.id()).await.unwrap().usage(), before.usage());
    assert_eq!(site.store.calls(Operation::Release), 1);
}

#[tokio::test]
async fn a_dropped_request_passes_its_turn_on() {
    let site = site();
    let jar = site.visitor().await;
    let (request, _hold) = holding(&site, &jar).await;
    let next = tokio::spawn(site.send(&jar, quick));
    asked(&site, 2).await;
    request.abort();
    assert_eq!(next.await.unwrap().status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2", "what the dropped one did is dropped");
    assert!(free(&site, &jar).await);
}

/// The request is dropped while it waits at the head of the line or behind, while the store is at work, or during its
/// own commit.
#[tokio::test]
async fn a_request_dropped_at_any_point_leaves_no_lease() {
    let site = site_that_loads_again();
    let jar = site.visitor().await;
    let (first, hold) = holding(&site, &jar).await;
    let (asking, behind) = (tokio::spawn(site.send(&jar, quick)), tokio::spawn(site.send(&jar, quick)));
    asked(&site, 2).await;
    for waiting in [behind, asking] {
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
    }
    let next = tokio::spawn(site.send(&jar, quick));
    asked(&site, 3).await;
    hold.release();
    assert_eq!((first.await.unwrap().status, next.await.unwrap().status), (StatusCode::OK, StatusCode::OK));

    for operation in [Operation::Acquire, Operation::Load, Operation::Update, Operation::Release] {
        for step in [Step::Before, Step::After] {
            for (nth, reads) in [(1, false), (2, false), (1, true), (2, true)] {
                let (fault, gate) = Fault::pause();
                site.store.inject(fault.on(operation).at(step).nth(nth));
                let handler = async move |session: Session| {
                    if reads { drop(session.keys()) } else { quick(session).await.unwrap() }
                };
                let request = tokio::spawn(site.send(&jar, handler));
                let reached = tokio::select! {
                    () = gate.reached() => true,
                    () = async { while !request.is_finished() { tokio::task::yield_now().await } } => false,
                };
                let expected = match operation {
                    Operation::Load => true,
                    Operation::Update => nth == 1 && !reads,
                    _ => nth == 1,
                };
                assert_eq!(reached, expected, "{operation} {nth} {reads}");
                request.abort();
                let _ = request.await;
                site.store.heal();
                gate.release();
                let reply = site.send(&jar, quick).await;
                assert_eq!(reply.status, StatusCode::OK, "{operation} {step:?} {nth}");
                assert!(free(&site, &jar).await, "{operation} {step:?} {nth}");
            }
        }
    }
    assert!(format!("{:?}", site.layer).contains("leases: Lines { sessions: 0 }"), "{:?}", site.layer);
}

#[tokio::test]
async fn a_panic_ends_the_turn() {
    let site = site();
    let jar = site.visitor().await;
    let panicking = async |session: Session| -> Result<(), Error> {
        session.insert("n", 7)?;
        tokio::task::yield_now().await;
        panic!("as the test wants it")
    };
    let request = tokio::spawn(site.send(&jar, panicking));
    assert!(request.await.unwrap_err().is_panic());
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
    assert!(free(&site, &jar).await);
}

/// A lease runs out while its holder still works. The holder's commit fails, and the newer value stays.
#[tokio::test(start_paused = true)]
async fn a_request_that_outlasts_its_lease_overwrites_nothing() {
    for reread in [false, true] {
        let site = site();
        let jar = site.visitor().await;
        let hold = Hold::new();
        let held = hold.clone();
        let late = async move |session: Session| -> Result<(), Error> {
            let n: u64 = session.get("n")?.unwrap_or_default();
            held.here().await;
            // A change that could be merged is refused as well.
            if reread { session.insert("m", 1) } else { session.insert("n", n + 100) }
        };
        let late = tokio::spawn(site.send(&jar, late));
        hold.reached(1).await;
        site.clock.advance(LEASE);
        // The next request has its turn, before or after it commits.
        let (next, next_hold) = holding(&site, &jar).await;
        if reread {
            next_hold.release();
            assert_eq!(next.await.unwrap().status, StatusCode::OK);
            hold.release();
            assert_eq!(late.await.unwrap().status, StatusCode::CONFLICT);
        } else {
            hold.release();
            assert_eq!(late.await.unwrap().status, StatusCode::CONFLICT);
            assert!(!free(&site, &jar).await, "the late one has not given the next one's lease back");
            next_hold.release();
            assert_eq!(next.await.unwrap().status, StatusCode::OK);
        }
        assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
        assert_eq!(site.entry(&jar, "m").await, None);
        assert!(free(&site, &jar).await);
    }
    // If no other request came in the meantime, the commit succeeds.
    let site = site();
    let jar = site.visitor().await;
    let (late, hold) = holding(&site, &jar).await;
    site.clock.advance(2 * LEASE);
    hold.release();
    assert_eq!(late.await.unwrap().status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
}

/// Another request waiting in the same process gets its turn when the lease of the stuck one is over.
#[tokio::test(start_paused = true)]
async fn a_stuck_request_delays_others_for_its_lease_at_most() {
    let lease = WAIT / 10;
    let site = Site::with(|builder| builder.exclusive(WAIT).exclusive_lease(lease));
    let jar = site.visitor().await;
    let (stuck, _hold) = holding(&site, &jar).await;
    let waiting = tokio::spawn(site.send(&jar, quick));
    asked(&site, 2).await;
    site.clock.advance(lease);
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    assert!(!stuck.is_finished());
    stuck.abort();
}

/// A write outside the turn makes the commit fail, unless the handler reloads first.
#[tokio::test]
async fn writes_that_take_no_lease_are_conflicts() {
    let site = site();
    let jar = site.visitor().await;
    for reloads in [false, true] {
        let sessions = site.layer.sessions();
        let handler = async move |session: Session| -> Result<(), Error> {
            let id = session.id().unwrap();
            sessions.update(&id, "n", |n: &mut u64| *n += 10).await?;
            if reloads {
                session.reload().await?;
            }
            let n: u64 = session.get("n")?.unwrap_or_default();
            session.insert("n", n + 1)
        };
        let status = site.send(&jar, handler).await.status;
        assert_eq!(status, if reloads { StatusCode::OK } else { StatusCode::CONFLICT });
        assert!(free(&site, &jar).await);
    }
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "22");
    // Jobs of the same layer follow its policy: they merge, even while a request has its turn.
    let (request, hold) = holding(&site, &jar).await;
    let merged = site.layer.sessions().update(&jar.id(), "n", |n: &mut u64| *n += 10).await.unwrap();
    assert_eq!(merged, Some(()));
    hold.release();
    assert_eq!(request.await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "32");
}

/// A stream has no turn: its save over newer writes is refused, and it can reload.
#[tokio::test]
async fn a_stream_has_no_turn() {
    let site = site();
    let jar = site.visitor().await;
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let handler = async move |session: Session| {
        *keep.lock().await = Some(session);
    };
    assert_eq!(site.send(&jar, handler).await.status, StatusCode::OK);
    assert!(free(&site, &jar).await);
    let session = kept.lock().await.take().unwrap();
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    session.insert("n", 7).unwrap();
    assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(site.entry(&jar, "n").await.unwrap(), "2");
    drop(session);
    // A stream that extracts the session only after the response takes no turn, since nobody would end it.
    let late: Arc<Mutex<Option<LazySession>>> = Arc::default();
    let keep = Arc::clone(&late);
    let handler = async move |lazy: LazySession| {
        *keep.lock().await = Some(lazy);
    };
    assert_eq!(site.send(&jar, handler).await.status, StatusCode::OK);
    let lazy = late.lock().await.take().unwrap();
    let calls = site.store.calls(Operation::Acquire);
    assert_eq!(lazy.session().await.unwrap().get::<u64>("n").unwrap(), Some(2));
    assert_eq!(site.store.calls(Operation::Acquire), calls);
    assert!(free(&site, &jar).await);
}

/// A load that completes after its request was answered gives the turn back at once.
#[tokio::test]
async fn a_turn_that_comes_too_late_is_given_back() {
    let site = site();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Acquire, Step::After);
    let handler = async |lazy: LazySession| {
        tokio::spawn(async move {
            let session = lazy.session().await.unwrap();
            // The session is never dropped.
            std::mem::forget(session);
        });
        tokio::task::yield_now().await;
    };
    assert_eq!(site.send(&jar, handler).await.status, StatusCode::OK);
    gate.reached().await;
    gate.release();
    site.store.heal();
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    assert!(free(&site, &jar).await);
}

/// A lease that can't be given back does not change the answer, and is reported. A release whose answer was lost is
/// repeated.
#[tokio::test(start_paused = true)]
async fn a_lease_that_can_not_be_given_back_runs_out() {
    let (events, _kept) = Events::keep();
    let site = site();
    let jar = site.visitor().await;
    site.store.inject(Fault::unavailable().on(Operation::Release));
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    site.store.heal();
    assert_eq!(events.count(Level::WARN, "lease not given back: it ends when it expires"), 1);
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::LOCKED);
    site.clock.advance(LEASE);
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    site.store
        .inject(Fault::error(session_layer::store::StoreErrorKind::OutcomeUnknown).on(Operation::Release).first(1));
    assert_eq!(site.send(&jar, quick).await.status, StatusCode::OK);
    site.store.heal();
    assert!(free(&site, &jar).await);
    assert_eq!(events.count(Level::WARN, "lease not given back"), 1);
}
