//! The end of a session beside whatever else happens to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use session_layer::{
    LazySession, Session, SessionStore, StoreErrorKind,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
};
use tokio::sync::Barrier;

use crate::support::*;

type Change = fn(&Session) -> Result<(), session_layer::Error>;

const RENEWALS: [Change; 2] = [|session| session.renew(), |session| session.login("ada")];

async fn is_live(site: &Site, jar: &Jar) -> bool {
    site.send(jar, async |session: Session| (!session.is_new()).to_string()).await.body == "true"
}

/// Promise 10, V4: held back at each call of the store, while another request moves the session to a new token. Either the
/// session has ended, or the answer says that it was superseded and takes nobody's cookie.
#[tokio::test]
async fn v4_a_logout_beside_a_renewal() {
    for (renewal, retry_for) in RENEWALS.into_iter().flat_map(|renewal| [(renewal, 5), (renewal, 0)]) {
        for (operation, step) in [Operation::Load, Operation::Update, Operation::Remove]
            .into_iter()
            .flat_map(|operation| [(operation, Step::Before), (operation, Step::After)])
        {
            let site = Site::with(|builder| builder.retry_for(Duration::from_secs(retry_for)));
            let jar = site.member("ada").await;
            let (pause, gate) = Fault::pause();
            // The first load is the extractor's.
            let nth = if operation == Operation::Load { 2 } else { 1 };
            site.store.inject(pause.on(operation).at(step).nth(nth));
            let logout = tokio::spawn(site.send(&jar, async |session: Session| session.destroy()));
            gate.reached().await;
            let mut other = jar.clone();
            site.visit(&mut other, async move |session: Session| renewal(&session)).await;
            gate.release();
            let logout = logout.await.unwrap();
            let case = format!("{operation} {step:?}: {}", logout.status);
            match logout.status {
                StatusCode::OK => {
                    assert!(logout.cookies()[0].contains("Max-Age=0"), "{case}");
                    // What the other one has is its own: a fresh session, without what was in this one.
                    assert_eq!(site.entry(&other, "n").await, None, "{case}");
                }
                StatusCode::CONFLICT => {
                    assert!(logout.sets_no_cookie(), "{case}");
                    assert!(is_live(&site, &other).await, "{case}");
                    let tombstone = site.stored(&jar.id()).await.unwrap();
                    assert!(!tombstone.record.is_session(), "{case}: K21");
                }
                _ => panic!("{case}"),
            }
            assert!(!is_live(&site, &jar).await, "{case}");
        }
    }
}

/// A button that is pressed twice: neither answer is an error, at whatever moment they meet.
#[tokio::test]
async fn two_logouts_at_once() {
    for (operation, step) in [Operation::Load, Operation::Update, Operation::Remove]
        .into_iter()
        .flat_map(|operation| [(operation, Step::Before), (operation, Step::After)])
    {
        let site = Site::new();
        let jar = site.visitor().await;
        let (pause, gate) = Fault::pause();
        let nth = if operation == Operation::Load { 2 } else { 1 };
        site.store.inject(pause.on(operation).at(step).nth(nth));
        let first = tokio::spawn(site.send(&jar, async |session: Session| session.destroy()));
        gate.reached().await;
        let second = site.send(&jar, async |session: Session| session.destroy()).await;
        gate.release();
        let first = first.await.unwrap();
        assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK), "{operation} {step:?}");
        assert_eq!(site.store.inner().count().await.unwrap(), 0, "{operation} {step:?}");
    }
}

/// Late writes and late readers see no session, not a superseded one, also where only the grave could be made.
#[tokio::test]
async fn a_grave_is_no_session_to_anybody() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let late = tokio::spawn(site.send(&jar, async |session: Session| session.insert("n", &2)));
    gate.reached().await;
    site.store.heal();
    site.store.inject(Fault::unavailable().on(Operation::Remove));
    let reply = site.send(&jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.status, StatusCode::OK, "nobody can use it any more");
    site.store.heal();
    gate.release();
    assert_eq!(late.await.unwrap().status, StatusCode::OK, "as if it had been first");
    let reply = site.send(&jar, async |session: Session| session.insert("n", &3)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.cookies().len(), 1, "a session of its own");
    assert!(!is_live(&site, &jar).await);
    site.clock.advance(2 * MINUTE);
    assert!(site.stored(&jar.id()).await.is_none());
}

/// A logout among a hundred writes takes effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_among_a_hundred_writes() {
    let site = Site::with(|builder| builder.retry_for(Duration::ZERO));
    let jar = site.visitor().await;
    let barrier = Arc::new(Barrier::new(101));
    let writes: Vec<_> = (0..100)
        .map(|number| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(site.send(&jar, async move |session: Session| {
                session.insert("n", &number)?;
                barrier.wait().await;
                ok()
            }))
        })
        .collect();
    let reply = site
        .send(&jar, async move |session: Session| {
            barrier.wait().await;
            session.destroy()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    for write in writes {
        write.await.unwrap();
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

/// A lost answer is looked after: done or not, the session has ended, and only then.
#[tokio::test]
async fn a_grave_whose_answer_was_lost() {
    for fault in [Fault::outcome_unknown(), Fault::error(StoreErrorKind::OutcomeUnknown)] {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(fault.on(Operation::Update).nth(1));
        let reply = site.send(&jar, async |session: Session| session.destroy()).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(reply.cookies()[0].contains("Max-Age=0"));
        assert_eq!(site.store.inner().count().await.unwrap(), 0);
    }
}

/// A store that acknowledges neither the grave nor its removal may not keep either after a crash: no logout is told of.
#[tokio::test]
async fn p12_an_end_that_may_not_last_is_an_error() {
    let site = Site::new();
    let jar = site.member("ada").await;
    for operation in [Operation::Update, Operation::Remove] {
        site.store.inject(Fault::outcome_unknown().on(operation));
    }
    assert!(site.layer.sessions().revoke_one("ada", &jar.id()).await.is_err());
    let jar = site.visitor().await;
    let reply = site.send(&jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.sets_no_cookie());
}

/// K22: a store that has let go of a session may have to write down that it is not to come back.
#[tokio::test]
async fn k22_what_is_absent_is_removed_all_the_same() {
    let site = Site::new();
    let jar = site.visitor().await;
    let below = site.store.inner().clone();
    let id = jar.id();
    let reply = site
        .send(&jar, async move |session: Session| {
            below.remove(&id).await?;
            session.destroy()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.sets_no_cookie(), "it has ended nothing");
    assert!(!site.layer.sessions().remove(&jar.id()).await.unwrap());
    assert_eq!(site.store.calls(Operation::Remove), 2);
}

/// V10, K7: an answer that depends on the cookie says so, with and without turns.
#[tokio::test]
async fn v10_a_lazy_logout_without_a_session_varies() {
    for site in [Site::new(), Site::with(|builder| builder.exclusive(Duration::from_secs(1)))] {
        let logout = async |lazy: LazySession| lazy.destroy().await.map(|was_there| was_there.to_string());
        let reply = site.send(&site.jar(), logout).await;
        assert_eq!((reply.body.as_str(), reply.header("vary")), ("false", "Cookie".to_owned()));
        assert_eq!(reply.header("cache-control"), "private");
    }
}

/// What another request of the session has written, and what becomes of it when a change that came during a `save` of this
/// one fails, or panics, on what is stored now.
async fn moved(renews: bool, panics: bool) -> (Option<String>, Option<String>, StatusCode) {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, own) = (site.clone(), jar.clone());
    let mut after = jar.clone();
    let reply = site
        .visit(&mut after, async move |session: Session| {
            let theirs = async |session: Session| {
                session.insert("b", &"text")?;
                session.insert("c", &7)
            };
            assert_eq!(twin.send(&own, theirs).await.status, StatusCode::OK);
            let (pause, gate) = Fault::pause();
            let operation = if renews { Operation::Rename } else { Operation::Update };
            twin.store.inject(pause.on(operation).at(Step::After).nth(2));
            session.insert("a", &1)?;
            if renews {
                session.renew()?;
            }
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            gate.reached().await;
            if panics {
                let runs = AtomicUsize::new(0);
                session.update("n", move |n: &mut u64| {
                    assert_ne!(runs.fetch_add(1, Ordering::SeqCst), 1, "its second run");
                    *n += 1;
                })?;
            } else {
                session.update("b", |b: &mut u64| *b += 1)?;
            }
            gate.release();
            let _ = saving.await;
            ok()
        })
        .await;
    let jar = if after.value.is_some() { after } else { jar };
    (site.entry(&jar, "b").await, site.entry(&jar, "c").await, reply.status)
}

#[tokio::test]
async fn a_change_that_fails_on_what_was_merged_undoes_nothing() {
    for (renews, panics) in [(false, false), (false, true), (true, false), (true, true)] {
        let (b, c, status) = moved(renews, panics).await;
        let theirs = (Some("\"text\""), Some("7"));
        assert_eq!((b.as_deref(), c.as_deref()), theirs, "renews {renews}, panics {panics}: {status}");
    }
}

/// Promise 1: a session that was destroyed is not brought back by what a renewal has left in the draft.
#[tokio::test]
async fn p1_a_change_that_panics_on_a_fresh_session_brings_nothing_back() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, own) = (site.clone(), jar.clone());
    let mut after = jar.clone();
    let handler = async move |session: Session| {
        session.insert("a", &1)?;
        session.renew()?;
        twin.send(&own, async |session: Session| session.destroy()).await;
        let gate = twin.store.pause(Operation::Create, Step::After);
        let saving = tokio::spawn({
            let session = session.clone();
            async move { session.save().await }
        });
        gate.reached().await;
        let runs = AtomicUsize::new(0);
        session.update("m", move |m: &mut u64| {
            assert_ne!(runs.fetch_add(1, Ordering::SeqCst), 1, "its second run");
            *m = 1;
        })?;
        gate.release();
        assert!(saving.await.unwrap_err().is_panic());
        ok()
    };
    site.visit(&mut after, handler).await;
    assert_eq!(site.entry(&after, "n").await, None, "of the destroyed session");
    assert_eq!(site.entry(&after, "a").await.as_deref(), Some("1"));
}

/// An id from before a renewal is that of no session, and what it says to late requests stays.
#[tokio::test]
async fn an_id_from_before_a_renewal_ends_the_session_where_it_is() {
    let site = Site::new();
    let old = site.member("ada").await;
    let mut new = old.clone();
    site.visit(&mut new, async |session: Session| session.renew()).await;
    // The same holds after requests with the old token are no longer served.
    site.clock.advance(10 * MINUTE);
    assert!(!is_live(&site, &old).await);
    assert!(site.layer.sessions().remove(&old.id()).await.unwrap());
    assert!(!is_live(&site, &new).await);
    let mut later = new.clone();
    site.visit(&mut later, async |session: Session| session.login("ada")).await;
    assert!(!site.layer.sessions().remove(&old.id()).await.unwrap(), "a login is another session");
    assert!(is_live(&site, &later).await);
}

/// A handler that asks twice, once lazily: what its cookie led to is told once.
#[tokio::test]
async fn the_cookie_is_told_of_once() {
    let (events, _kept) = Events::keep();
    let site = Site::new();
    site.send(&site.jar(), async |_: LazySession, _: Session, _: LazySession| ()).await;
    assert_eq!(events.count(tracing::Level::TRACE, "no session"), 1);
}
