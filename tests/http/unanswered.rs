//! Writes whose answer is lost: what is read back, and what a second save may repeat.

use std::sync::Arc;

use http::StatusCode;
use session_layer::{
    ErrorKind, Session, SessionId, SessionStore,
    conformance::{
        Operation,
        fault::{Bare, Fault, Step},
    },
    store::{Listing, StoreErrorKind, Usage},
};

use crate::{stores::sites, support::*};

#[tokio::test]
async fn a_commit_with_an_unknown_outcome_is_read_back() {
    // The write was done and its answer lost. Reading back finds it.
    for operation in [Operation::Update, Operation::Create, Operation::Rename] {
        let site = Site::new();
        let mut jar = if operation == Operation::Create { site.jar() } else { site.visitor().await };
        site.store.inject(Fault::outcome_unknown().on(operation).nth(1));
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                if operation == Operation::Rename {
                    session.login("ada")?;
                }
                session.insert("n", 2)
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{operation:?}");
        assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"), "{operation:?}");
    }
    // The write was not done. An update stays unknown; a creation is retried under another token.
    let site = Site::new();
    let jar = site.visitor().await;
    site.store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::Update));
    let reply = site.send(&jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"), "the old state stays");
    let mut new = site.jar();
    site.store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::Create).nth(1));
    let reply = site.visit(&mut new, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&new, "n").await.as_deref(), Some("2"));
    // Reading back fails as well. The answer is 503, and the record is the old or the new one.
    for operation in [Operation::Update, Operation::Rename] {
        let site = Site::new();
        let jar = site.visitor().await;
        site.store.inject(Fault::outcome_unknown().on(operation));
        site.store.inject(Fault::unavailable().on(Operation::Load).after_first(1));
        let reply = site
            .send(&jar, async move |session: Session| {
                if operation == Operation::Rename {
                    session.renew()?;
                }
                session.insert("n", 2)
            })
            .await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{operation:?}");
        assert!(reply.sets_no_cookie());
    }
    // An unanswered `end` is read back.
    let site = Site::new();
    let jar = site.visitor().await;
    site.store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::End).nth(1));
    let reply = site.send(&jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(site.stored(&jar.id()).await.is_none());
}

/// The rename's outcome is unknown, and another request has updated the session. The record that is read back is not
/// taken for this request's rename.
#[tokio::test]
async fn another_requests_update_is_not_taken_for_the_lost_rename() {
    let below = Site::new();
    let site = Site::over(Bare(below.store.clone()), below.store.clone(), below.clock.clone(), |builder| builder);
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    site.store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::Update).nth(1));
    let login = tokio::spawn(site.send(&jar, async |session: Session| session.login("ada")));
    gate.reached().await;
    let held = site.stored(&jar.id()).await.unwrap();
    let newer = Arc::new((*held.record).clone());
    site.store.inner().update(&jar.id(), &newer, &held.version, Usage::at(&newer, site.clock.now())).await.unwrap();
    gate.release();
    let reply = login.await.unwrap();
    // The changed version proves that the first attempt can no longer take effect, so the login is retried on the newer
    // record.
    assert_eq!(reply.status, StatusCode::OK);
    assert!(!site.stored(&jar.id()).await.unwrap().record.is_session(), "the old token is superseded");
    assert_eq!(site.store.inner().count().await.unwrap(), 1, "and no second session is left");
}

/// Two requests send equal updates, and the answer to one is lost. The other's result is not taken for it.
#[tokio::test]
async fn an_equal_update_of_another_request_is_not_taken_for_our_own() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    site.store.inject(Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::Update).nth(1));
    let count = async |session: Session| session.update("n", |n: &mut u8| *n += 1);
    let first = tokio::spawn(site.send(&jar, count));
    gate.reached().await;
    let second = site.send(&jar, count).await;
    assert_eq!(second.status, StatusCode::OK);
    gate.release();
    let first = first.await.unwrap();
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    assert_eq!(first.status, StatusCode::SERVICE_UNAVAILABLE, "an update that was lost");
}

/// After a lost answer, set entries can be saved again. Closures are dropped, since they could run on their own result.
#[tokio::test]
async fn after_an_unknown_outcome_closures_are_dropped_and_set_entries_stay() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        site.store.inject(Fault::outcome_unknown().on(Operation::Update).first(1));
        let reply = site
            .send(&jar, async |session: Session| {
                session.insert("a", 1)?;
                session.update("n", |n: &mut u8| *n += 1)?;
                assert_eq!(kind(session.save().await), ErrorKind::OutcomeUnknown);
                session.save().await?;
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        let seen = site.send(&jar, async |s: Session| format!("{} {:?}", s.keys().join(","), s.get::<u8>("n"))).await;
        assert_eq!(seen.body, "a,n Ok(Some(2))", "{name}: once, not twice");
    }
}

/// The write is done and its answer lost, and the tombstone can't be read back either.
fn lose_a_move(site: &Site, id: &SessionId, is_provided: bool) {
    let reads = Fault::unavailable().on(Operation::Load).on(Operation::Refresh);
    if is_provided {
        site.store.inject(Fault::outcome_unknown().on(Operation::Update));
        // The first read is the rename's own.
        site.store.inject(reads.session(id).after_first(1));
    } else {
        site.store.inject(Fault::outcome_unknown().on(Operation::Rename));
        site.store.inject(reads);
    }
}

/// Saving again finds the session under its new id, with its data and its cookie, and creates no second session.
#[tokio::test]
async fn saving_again_finds_a_login_or_renewal_whose_answer_was_lost() {
    for (name, site) in sites() {
        for is_login in [true, false] {
            let mut jar = site.visitor().await;
            let old = jar.clone();
            let before = site.store.inner().count().await.unwrap();
            let faulty = site.clone();
            let reply = site
                .visit(&mut jar, async move |session: Session| {
                    if is_login {
                        session.login("ada")?
                    } else {
                        session.renew()?
                    }
                    session.insert("a", 1)?;
                    lose_a_move(&faulty, &session.id().unwrap(), name == "provided");
                    assert_eq!(kind(session.save().await), ErrorKind::OutcomeUnknown, "{name}");
                    assert_eq!(kind(session.save().await), ErrorKind::Unavailable, "{name}");
                    faulty.store.heal();
                    session.insert("b", 1)?;
                    session.save().await?;
                    session.insert("c", 1)
                })
                .await;
            let place = format!("{name} {is_login}");
            assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1), "{place}");
            assert_ne!(jar.value, old.value, "{place}");
            let seen = site.send(&jar, async |s: Session| format!("{} {:?}", s.keys().join(","), s.owner())).await;
            let owner = is_login.then_some("ada");
            assert_eq!(seen.body, format!("a,b,c,n {owner:?}"), "{place}");
            assert_eq!(site.store.inner().count().await.unwrap(), before, "{place}");
        }
    }
}

#[tokio::test]
async fn a_logout_after_a_login_whose_answer_was_lost_ends_the_new_session() {
    for (name, site) in sites() {
        let mut jar = site.visitor().await;
        let faulty = site.clone();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.login("ada")?;
                lose_a_move(&faulty, &session.id().unwrap(), name == "provided");
                assert_eq!(kind(session.save().await), ErrorKind::OutcomeUnknown, "{name}");
                faulty.store.heal();
                session.destroy()
            })
            .await;
        assert_eq!((reply.status, jar.value), (StatusCode::OK, None), "{name}");
        assert_eq!(site.store.inner().count().await.unwrap(), 0, "{name}");
    }
}

/// A later save does not bring the discarded login back.
#[tokio::test]
async fn a_login_whose_answer_was_lost_and_that_was_discarded_logs_nobody_in() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let faulty = site.clone();
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            session.login("ada")?;
            lose_a_move(&faulty, &session.id().unwrap(), false);
            assert_eq!(kind(session.save().await), ErrorKind::OutcomeUnknown);
            faulty.store.heal();
            session.discard();
            session.insert("b", 1)
        })
        .await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "the token was superseded");
    assert!(reply.sets_no_cookie());
}
