//! A change reported as failed does not happen afterwards, and a change reported as saved has happened.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::StatusCode;
use session_layer::{
    AtLimit, ConflictPolicy, Error, ErrorKind, Session,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
    store::{Listing, StoreErrorKind},
};
use tracing::Level;

use crate::{stores::sites, support::*};

const DROPPED: &str = "unsaved changes dropped";

fn refused() -> Fault {
    Fault::unavailable().on(Operation::Create).on(Operation::Update).on(Operation::Rename)
}

#[tokio::test]
async fn a_failed_save_is_not_committed_at_the_end_of_the_request() {
    for (name, site) in sites() {
        for has_session in [true, false] {
            let mut jar = if has_session { site.visitor().await } else { site.jar() };
            let (events, _kept) = Events::keep();
            site.store.inject(refused().first(1));
            let reply = site
                .visit(&mut jar, async |session: Session| {
                    session.insert("bought", true).unwrap();
                    assert_eq!(kind(session.save().await), ErrorKind::Unavailable);
                    assert_eq!(session.get("bought").unwrap(), Some(true), "it can be tried again");
                    "nothing was bought"
                })
                .await;
            site.store.heal();
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "nothing was bought"), "{name}");
            assert!(reply.sets_no_cookie(), "{name}");
            assert_eq!(events.count(Level::WARN, DROPPED), 1, "{name}");
            if has_session {
                assert_eq!(site.send(&jar, async |s: Session| s.keys().join(",")).await.body, "n", "{name}");
            } else {
                assert_eq!(site.store.inner().count().await.unwrap(), 1, "{name}: the first visitor's");
            }
        }
    }
}

#[tokio::test]
async fn a_failed_save_can_be_retried() {
    for (name, site) in sites() {
        let mut jar = site.visitor().await;
        site.store.inject(refused().first(2));
        let reply = site
            .visit(&mut jar, async |session: Session| {
                session.insert("a", 1).unwrap();
                session.update("n", |n: &mut u8| *n += 1).unwrap();
                session.login("ada").unwrap();
                while session.save().await.is_err() {}
                session.insert("b", 1)
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        let seen = site
            .send(&jar, async |s: Session| {
                format!("{} {:?} {:?}", s.keys().join(","), s.get::<u8>("n").unwrap(), s.owner())
            })
            .await;
        assert_eq!(seen.body, r#"a,b,n Some(2) Some("ada")"#, "{name}");
    }
}

/// The first call is refused, or done with its answer lost. The second call adds one more change and does not repeat
/// the first.
#[tokio::test]
async fn a_failed_update_now_is_withdrawn() {
    for (name, site) in sites() {
        for (fault, after_one, at_the_end) in [
            (refused(), ErrorKind::Unavailable, "2"),
            (Fault::outcome_unknown().on(Operation::Update), ErrorKind::OutcomeUnknown, "3"),
            (Fault::error(StoreErrorKind::OutcomeUnknown).on(Operation::Update), ErrorKind::OutcomeUnknown, "2"),
        ] {
            let jar = site.visitor().await;
            site.store.inject(fault.first(1));
            let reply = site
                .send(&jar, async move |session: Session| {
                    let add = |n: &mut u8| {
                        *n += 1;
                        *n
                    };
                    assert_eq!(kind(session.update_now("n", add).await), after_one);
                    let second = session.update_now("n", add).await.unwrap();
                    second.to_string()
                })
                .await;
            site.store.heal();
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, at_the_end), "{name} {after_one:?}");
            let n = site.send(&jar, async |s: Session| s.get::<u8>("n").unwrap().unwrap().to_string()).await;
            assert_eq!(n.body, at_the_end, "{name} {after_one:?}");
        }
    }
}

#[tokio::test]
async fn a_failed_update_now_that_is_not_repeated_changes_nothing() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        site.store.inject(refused().first(1));
        let reply = site
            .send(&jar, async |session: Session| {
                kind(session.update_now("n", |n: &mut u8| *n += 1).await);
                assert_eq!(session.get::<u8>("n").unwrap(), Some(1));
                (StatusCode::CONFLICT, "nothing was bought")
            })
            .await;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{name}");
        let n = site.send(&jar, async |s: Session| s.get::<u8>("n").unwrap().unwrap().to_string()).await;
        assert_eq!(n.body, "1", "{name}");
    }
}

/// The caller stops waiting, so it learns of no failure. A failed change is not made later in this case either.
#[tokio::test]
async fn a_failed_update_now_whose_caller_was_dropped_is_withdrawn() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    site.store.inject(Fault::unavailable().on(Operation::Update).first(1));
    let gate = Arc::new(Mutex::new(Some(gate)));
    let reply = site
        .send(&jar, async move |session: Session| {
            let gate = gate.lock().unwrap().take().unwrap();
            {
                let mut update = Box::pin(session.update_now("n", |n: &mut u8| *n += 1));
                tokio::select! {
                    _ = &mut update => panic!("it stands at the gate"),
                    () = gate.reached() => {}
                }
            }
            gate.release();
            // The commit runs to its end, and this one waits behind it.
            assert_eq!(
                session
                    .update_now("n", |n: &mut u8| {
                        *n += 1;
                        *n
                    })
                    .await
                    .unwrap(),
                2
            );
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_failed_login_does_not_log_in() {
    for (name, site) in sites() {
        for fault in [refused(), Fault::unavailable().on(Operation::EnsureEpoch)] {
            let mut jar = site.visitor().await;
            // The provided implementations have no such call, so their first step fails.
            site.store.inject(if name == "provided" { refused().first(1) } else { fault.first(1) });
            let reply = site
                .visit(&mut jar, async |session: Session| {
                    session.login("ada").unwrap();
                    kind(session.save().await);
                    "login failed"
                })
                .await;
            site.store.heal();
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "login failed"), "{name}");
            assert!(reply.sets_no_cookie(), "{name}");
            let owner = site.send(&jar, async |s: Session| format!("{:?} {}", s.owner(), s.is_new())).await;
            assert_eq!(owner.body, "None false", "{name}");
        }
    }
}

/// Step by step: the `save` of a login fails, and the handler continues as if the visitor were logged in. If its next
/// write were committed, it would go into the session from before the login, whose token may be planted.
#[tokio::test]
async fn writes_after_a_failed_save_are_held_back_and_the_failure_is_the_answer() {
    for (name, site) in sites() {
        let mut jar = site.visitor().await;
        let (events, _kept) = Events::keep();
        site.store.inject(refused().first(1));
        let reply = site
            .visit(&mut jar, async |session: Session| {
                session.login("ada")?;
                let _ = session.save().await;
                session.insert("user", "ada")?;
                ok()
            })
            .await;
        site.store.heal();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert!(reply.sets_no_cookie(), "{name}");
        assert_eq!(events.count(Level::WARN, DROPPED), 1, "{name}");
        let seen = site.send(&jar, async |s: Session| format!("{} {:?}", s.keys().join(","), s.owner())).await;
        assert_eq!(seen.body, "n None", "{name}");
    }
}

#[tokio::test]
async fn discard_drops_unsaved_changes_and_allows_new_ones() {
    for (name, site) in sites() {
        let mut jar = site.visitor().await;
        site.store.inject(refused().first(1));
        let reply = site
            .visit(&mut jar, async |session: Session| {
                session.login("ada")?;
                session.insert("a", 1)?;
                assert_eq!(kind(session.save().await), ErrorKind::Unavailable);
                session.discard();
                assert_eq!((session.owner(), session.contains("a")), (None, false));
                session.insert("b", 1)
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert!(reply.sets_no_cookie(), "{name}: the login is taken back");
        assert_eq!(site.send(&jar, async |s: Session| s.keys().join(",")).await.body, "b,n", "{name}");
    }
}

#[tokio::test]
async fn destroy_after_a_failed_save_ends_the_session_and_the_answer_stands() {
    for (name, site) in sites() {
        let mut jar = site.visitor().await;
        site.store.inject(refused().first(1));
        let reply = site
            .visit(&mut jar, async |session: Session| {
                session.insert("a", 1)?;
                assert_eq!(kind(session.save().await), ErrorKind::Unavailable);
                session.destroy()?;
                ok()
            })
            .await;
        assert_eq!((reply.status, jar.value), (StatusCode::OK, None), "{name}");
        assert_eq!(site.store.inner().count().await.unwrap(), 0, "{name}");
    }
}

/// A place becomes free by the end of the request. The refused login is still not made.
#[tokio::test]
async fn a_login_refused_for_too_many_sessions_is_not_made_later_and_the_handlers_page_is_shown() {
    for frees_a_place in [false, true] {
        let site = Site::with(|builder| builder.sessions_per_owner(1, AtLimit::Refuse));
        let first = site.member("ada").await;
        let mut jar = site.visitor().await;
        let sessions = site.layer.sessions();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.login("ada")?;
                assert_eq!(kind(session.save().await), ErrorKind::TooManySessions);
                if frees_a_place {
                    assert!(sessions.end(&first.id()).await?);
                }
                Ok::<_, Error>("you are signed in elsewhere")
            })
            .await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "you are signed in elsewhere"));
        assert!(reply.sets_no_cookie());
        let owner = site.send(&jar, async |s: Session| format!("{:?} {}", s.owner(), s.keys().join(","))).await;
        assert_eq!(owner.body, "None n");
    }
}

#[tokio::test]
async fn after_a_conflict_discard_continues_from_the_newer_record() {
    for policy in [ConflictPolicy::Merge, ConflictPolicy::Reject] {
        let site = Site::with(|builder| builder.conflict_policy(policy));
        let jar = site.visitor().await;
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .send(&jar, async move |session: Session| {
                let n: u8 = session.get("n")?.unwrap();
                session.insert("n", n + 1)?;
                twin.send(&other, async |session: Session| session.insert("n", 7)).await;
                let error = session.save().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
                if policy == ConflictPolicy::Merge {
                    assert_eq!(error.key(), Some("n"), "{error}");
                }
                session.discard();
                let n: u8 = session.get("n")?.unwrap();
                session.insert("n", n + 1)?;
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{policy:?}");
        assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("8"), "{policy:?}");
    }
}

/// A change made during a save that can't be applied to the merged record fails the next save.
///
/// Step by step: the handler reads `n`, and saves another entry. While the store is at work, it sets `n`. The save
/// meets a newer record in which another request has changed `n`.
#[tokio::test]
async fn a_change_during_a_save_that_conflicts_with_the_merged_record_is_not_acknowledged() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let gate = Arc::new(Mutex::new(Some(site.store.pause(Operation::Update, Step::Before))));
    let reply = site
        .send(&jar, async move |session: Session| {
            let n: u8 = session.get("n")?.unwrap();
            session.insert("a", 1)?;
            let gate = gate.lock().unwrap().take().unwrap();
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            gate.reached().await;
            session.insert("n", n + 1)?;
            twin.layer.sessions().update(&other.id(), "n", |n: &mut u8| *n = 7).await?;
            gate.release();
            saving.await.unwrap().unwrap();
            assert_eq!(kind(session.save().await), ErrorKind::Conflict);
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("7"));
    assert_eq!(site.entry(&jar, "a").await.as_deref(), Some("1"));
}

/// After the response has begun, a conflict is an error of `save`, since there is no answer left to replace.
#[tokio::test]
async fn a_stream_learns_of_a_conflict_from_its_save() {
    let site = Site::new();
    let jar = site.visitor().await;
    let kept = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&kept);
    let reply = site
        .send(&jar, async move |session: Session| {
            assert_eq!(session.get("n").unwrap(), Some(1));
            *slot.lock().unwrap() = Some(session);
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let session: Session = kept.lock().unwrap().take().unwrap();
    site.send(&jar, async |session: Session| session.insert("n", 7)).await;
    session.insert("n", 2).unwrap();
    let error = session.save().await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("n")));
    session.discard();
    session.update("n", |n: &mut u8| *n += 1).unwrap();
    session.save().await.unwrap();
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("8"));
}

/// When the save fails, its changes return to the session, except those that `destroy` has dropped meanwhile. No login
/// remains pending.
#[tokio::test]
async fn a_failed_save_does_not_give_back_what_destroy_dropped() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::Before);
    site.store.inject(Fault::unavailable().on(Operation::Rename).nth(1));
    let gate = Arc::new(Mutex::new(Some(gate)));
    let mut after = jar.clone();
    let reply = site
        .visit(&mut after, async move |session: Session| {
            session.login("ada")?;
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            let gate = gate.lock().unwrap().take().unwrap();
            gate.reached().await;
            session.destroy()?;
            gate.release();
            assert_eq!(saving.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(after.value.is_none(), "the visitor is logged out, and gets no empty session");
    assert!(site.stored(&jar.id()).await.is_none());
    assert_eq!(site.store.calls(Operation::Create), 0);
}

/// Changes that a 5xx answer dropped stay dropped if a `save` fails afterwards.
#[tokio::test]
async fn a_failed_save_does_not_give_back_what_a_5xx_dropped() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::Before);
    site.store.inject(Fault::unavailable().on(Operation::Rename).nth(1));
    let gate = Arc::new(Mutex::new(Some(gate)));
    let reply = site
        .send(&jar, async move |session: Session| {
            session.login("ada").unwrap();
            let gate = gate.lock().unwrap().take().unwrap();
            tokio::spawn(async move { session.save().await });
            gate.reached().await;
            tokio::spawn(async move { gate.release() });
            StatusCode::INTERNAL_SERVER_ERROR
        })
        .await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.calls(Operation::Rename), 1, "the login was tried again after the 5xx");
    assert!(site.stored(&jar.id()).await.unwrap().record.is_session());
}

/// A closure panics when it runs again. The next attempt saves the pending changes.
#[tokio::test]
async fn a_panic_during_replay_keeps_the_changes() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            let runs = Arc::new(AtomicUsize::new(0));
            session.update("n", move |n: &mut u8| {
                assert!(runs.fetch_add(1, Ordering::SeqCst) != 1, "the second run");
                *n += 1;
            })?;
            twin.send(&other, async |session: Session| session.insert("n", 7)).await;
            let saved = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            assert!(saved.await.is_err(), "the panic is the caller's");
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("8"));
}
