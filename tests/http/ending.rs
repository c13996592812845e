//! The end of a session, concurrent with other changes to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use session_layer::{
    LazySession, Session, SessionStore,
    conformance::{
        Operation,
        fault::{Bare, Fault, Step},
    },
    store::{Listing, StoreErrorKind},
};
use tokio::sync::Barrier;

use crate::support::*;

type Change = fn(&Session) -> Result<(), session_layer::Error>;

const RENEWALS: [Change; 2] = [|session| session.renew(), |session| session.login("ada")];

/// A site over a store without its own `end` and `rename`.
fn bare() -> Site {
    let below = Site::new();
    Site::over(Bare(below.store.clone()), below.store.clone(), below.clock.clone(), |builder| builder)
}

async fn is_live(site: &Site, jar: &Jar) -> bool {
    site.send(jar, async |session: Session| (!session.is_new()).to_string()).await.body == "true"
}

/// The logout is held back at each of its store calls, while another request moves the session to a new token. Either
/// the session has ended, or the answer says that it was superseded and removes no cookie.
#[tokio::test]
async fn a_logout_beside_a_renewal_ends_the_session_or_says_that_it_was_superseded() {
    for (renewal, retry_for) in RENEWALS.into_iter().flat_map(|renewal| [(renewal, 5), (renewal, 0)]) {
        for (operation, step) in [Operation::Load, Operation::End]
            .into_iter()
            .flat_map(|operation| [(operation, Step::Before), (operation, Step::After)])
        {
            let site = Site::with(|builder| builder.retry_for(Duration::from_secs(retry_for)));
            let jar = site.member("ada").await;
            let (pause, gate) = Fault::pause();
            site.store.inject(pause.on(operation).at(step).nth(1));
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
                    // The other request's session is a fresh one, without the entries of the ended one.
                    assert_eq!(site.entry(&other, "n").await, None, "{case}");
                }
                StatusCode::CONFLICT => {
                    assert!(logout.sets_no_cookie(), "{case}");
                    assert!(is_live(&site, &other).await, "{case}");
                    let tombstone = site.stored(&jar.id()).await.unwrap();
                    assert!(!tombstone.record.is_session(), "{case}: the old token is no longer known as superseded");
                }
                _ => panic!("{case}"),
            }
            assert!(!is_live(&site, &jar).await, "{case}");
        }
    }
}

/// A user presses the logout button twice. Neither answer is an error, in any interleaving.
#[tokio::test]
async fn two_logouts_at_once_both_succeed() {
    for (operation, step) in [Operation::Load, Operation::End]
        .into_iter()
        .flat_map(|operation| [(operation, Step::Before), (operation, Step::After)])
    {
        let site = Site::new();
        let jar = site.visitor().await;
        let (pause, gate) = Fault::pause();
        site.store.inject(pause.on(operation).at(step).nth(1));
        let first = tokio::spawn(site.send(&jar, async |session: Session| session.destroy()));
        gate.reached().await;
        let second = site.send(&jar, async |session: Session| session.destroy()).await;
        gate.release();
        let first = first.await.unwrap();
        assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK), "{operation} {step:?}");
        assert_eq!(site.store.inner().count().await.unwrap(), 0, "{operation} {step:?}");
    }
}

/// Late writes and late readers see no session, rather than a superseded one, even if the tombstone could not be
/// removed.
#[tokio::test]
async fn an_ended_session_looks_absent_to_late_requests() {
    // A store without its own `end`.
    let site = bare();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let late = tokio::spawn(site.send(&jar, async |session: Session| session.insert("n", 2)));
    gate.reached().await;
    site.store.heal();
    site.store.inject(Fault::unavailable().on(Operation::Remove));
    let reply = site.send(&jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.status, StatusCode::OK, "nobody can use it any more");
    site.store.heal();
    gate.release();
    assert_eq!(late.await.unwrap().status, StatusCode::OK, "as if it had been first");
    let reply = site.send(&jar, async |session: Session| session.insert("n", 3)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.cookies().len(), 1, "a new session");
    assert!(!is_live(&site, &jar).await);
    site.clock.advance(2 * MINUTE);
    assert!(site.stored(&jar.id()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_among_a_hundred_writes_takes_effect() {
    let site = Site::with(|builder| builder.retry_for(Duration::ZERO));
    let jar = site.visitor().await;
    let barrier = Arc::new(Barrier::new(101));
    let writes: Vec<_> = (0..100)
        .map(|number| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(site.send(&jar, async move |session: Session| {
                session.insert("n", number)?;
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

/// The tombstone's write is not answered, so it is read back. The logout is reported only if the session has ended.
#[tokio::test]
async fn a_logout_whose_write_was_not_answered_is_read_back() {
    for fault in [Fault::outcome_unknown(), Fault::error(StoreErrorKind::OutcomeUnknown)] {
        for (operation, site) in [(Operation::End, Site::new()), (Operation::Update, bare())] {
            let jar = site.visitor().await;
            site.store.inject(fault.clone().on(operation).nth(1));
            let reply = site.send(&jar, async |session: Session| session.destroy()).await;
            assert_eq!(reply.status, StatusCode::OK, "{operation}");
            assert!(reply.cookies()[0].contains("Max-Age=0"), "{operation}");
            assert_eq!(site.store.inner().count().await.unwrap(), 0, "{operation}");
        }
    }
}

/// If the store acknowledges neither the tombstone nor its removal, either may be lost in a crash, so no logout is
/// reported.
#[tokio::test]
async fn a_logout_that_may_not_survive_a_crash_is_an_error() {
    let site = bare();
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

/// A store that has evicted the session may still have to record that it must not come back after a restart.
#[tokio::test]
async fn destroy_removes_a_session_that_the_store_no_longer_has() {
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
    assert!(!site.layer.sessions().end(&jar.id()).await.unwrap());
    assert_eq!(site.store.calls(Operation::Remove), 2);
}

#[tokio::test]
async fn a_lazy_logout_without_a_session_varies_by_cookie() {
    for site in [Site::new(), Site::with(|builder| builder.exclusive(Duration::from_secs(1)))] {
        let logout = async |lazy: LazySession| lazy.destroy().await.map(|was_there| was_there.to_string());
        let reply = site.send(&site.jar(), logout).await;
        assert_eq!((reply.body.as_str(), reply.header("vary")), ("false", "Cookie".to_owned()));
        assert_eq!(reply.header("cache-control"), "private");
    }
}

/// Runs a change during a `save` of the same request. The change fails, or panics, on the record that the save has
/// merged with. Returns the other request's entry as stored, this request's entry, and the status.
async fn moved(renews: bool, panics: bool) -> (Option<String>, Option<String>, StatusCode) {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, own) = (site.clone(), jar.clone());
    let mut after = jar.clone();
    let reply = site
        .visit(&mut after, async move |session: Session| {
            let theirs = async |session: Session| {
                session.insert("b", "text")?;
                session.insert("c", 7)
            };
            assert_eq!(twin.send(&own, theirs).await.status, StatusCode::OK);
            let (pause, gate) = Fault::pause();
            let operation = if renews { Operation::Rename } else { Operation::Update };
            twin.store.inject(pause.on(operation).at(Step::After).nth(2));
            session.insert("a", 1)?;
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
async fn a_change_that_fails_on_the_merged_record_undoes_nothing() {
    for (renews, panics) in [(false, false), (false, true), (true, false), (true, true)] {
        let (b, c, status) = moved(renews, panics).await;
        let theirs = (Some("\"text\""), Some("7"));
        assert_eq!((b.as_deref(), c.as_deref()), theirs, "renews {renews}, panics {panics}: {status}");
    }
}

/// The renewal has left a change in the draft. It does not bring back a session that was destroyed.
#[tokio::test]
async fn a_change_that_panics_on_a_fresh_session_revives_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, own) = (site.clone(), jar.clone());
    let mut after = jar.clone();
    let handler = async move |session: Session| {
        session.insert("a", 1)?;
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

/// The id from before a renewal still ends the session, and its tombstone stays for late requests.
#[tokio::test]
async fn an_id_from_before_a_renewal_ends_the_renewed_session() {
    let site = Site::new();
    let old = site.member("ada").await;
    let mut new = old.clone();
    site.visit(&mut new, async |session: Session| session.renew()).await;
    // The same holds after requests with the old token are no longer served.
    site.clock.advance(10 * MINUTE);
    assert!(!is_live(&site, &old).await);
    assert!(site.layer.sessions().end(&old.id()).await.unwrap());
    assert!(!is_live(&site, &new).await);
    let mut later = new.clone();
    site.visit(&mut later, async |session: Session| session.login("ada")).await;
    assert!(!site.layer.sessions().end(&old.id()).await.unwrap(), "a login is another session");
    assert!(is_live(&site, &later).await);
}

/// The handler asks for the session twice, once lazily. The cookie's outcome is reported once.
#[tokio::test]
async fn the_cookies_outcome_is_reported_once() {
    let (events, _kept) = Events::keep();
    let site = Site::new();
    site.send(&site.jar(), async |_: LazySession, _: Session, _: LazySession| ()).await;
    assert_eq!(events.count(tracing::Level::TRACE, "no session"), 1);
}

/// A `save` in the same request is moving the session to a new token. `destroy` ends the session under the new token.
#[tokio::test]
async fn destroy_during_the_save_of_a_login_ends_the_new_session() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::After);
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    let reply = site
        .send(&jar, async move |session: Session| {
            session.login("ada")?;
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            let gate = gate.lock().unwrap().take().unwrap();
            gate.reached().await;
            session.destroy()?;
            gate.release();
            saving.await.unwrap()?;
            ok()
        })
        .await;
    let mut after = jar.clone();
    after.absorb(&reply);
    if after.value.is_some() {
        let seen = site.send(&after, async |session: Option<Session>| session.is_some().to_string()).await;
        assert_eq!(seen.body, "false", "the session that was destroyed is live under its new token");
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 0, "nothing is left that could be used");
}

/// The save is creating the session. Its cookie is not sent to the visitor after the `destroy`.
#[tokio::test]
async fn destroy_during_the_save_of_a_new_session_sends_no_cookie() {
    let site = Site::new();
    let gate = site.store.pause(Operation::Create, Step::After);
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    let reply = site
        .send(&site.jar(), async move |session: Session| {
            session.insert("secret", 1)?;
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            let gate = gate.lock().unwrap().take().unwrap();
            gate.reached().await;
            session.destroy()?;
            gate.release();
            saving.await.unwrap()?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.cookies().iter().all(|line| line.contains("Max-Age=0")), "{:?}", reply.cookies());
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}
