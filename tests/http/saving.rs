//! A change reported as failed does not happen afterwards, and a change reported as saved has happened.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, response::IntoResponse, routing::any};
use http::StatusCode;
use session_layer::{
    AtLimit, ConflictPolicy, Error, ErrorKind, LazySession, Session, SessionId,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
    store::{Listing, StoreErrorKind},
};
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;
use tracing::Level;

use crate::{stores::sites, support::*};

const DROPPED: &str = "unsaved changes dropped";

fn refused() -> Fault {
    Fault::unavailable().on(Operation::Create).on(Operation::Update).on(Operation::Rename)
}

fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.map(drop).unwrap_err().kind()
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

/// The answer may come from the handler or from a middleware inside the layer.
#[tokio::test]
async fn server_errors_and_408_drop_the_changes_and_other_answers_save() {
    for (status, saves) in
        [(500, false), (503, false), (408, false), (200, true), (404, true), (409, true), (422, true)]
    {
        let site = Site::new();
        let mut jar = site.visitor().await;
        let (events, _kept) = Events::keep();
        let reply = site
            .visit(&mut jar, async move |session: Session| {
                session.login("ada").unwrap();
                session.insert("a", 1).unwrap();
                StatusCode::from_u16(status).unwrap()
            })
            .await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.sets_no_cookie(), !saves, "{status}");
        assert_eq!(site.entry(&jar, "a").await.is_some(), saves, "{status}");
        assert_eq!(events.count(Level::WARN, DROPPED), usize::from(!saves), "{status}");
    }
}

/// A `TimeoutLayer` inside the session layer cuts a handler off half-way and answers 408.
#[tokio::test(start_paused = true)]
async fn a_handler_cut_off_by_a_timeout_saves_nothing() {
    let slow = async |session: Session| {
        session.login("ada").unwrap();
        session.insert("half", 1).unwrap();
        std::future::pending::<()>().await;
    };
    let timeout = || TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    for is_inside in [true, false] {
        let site = Site::new();
        let jar = site.visitor().await;
        let (events, _kept) = Events::keep();
        let routes = Router::new().route("/", any(slow));
        let router: Router = if is_inside {
            routes.layer(timeout()).layer(site.layer.clone())
        } else {
            routes.layer(site.layer.clone()).layer(timeout())
        };
        let reply = answered(router.oneshot(request(jar.line().as_deref())).await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
        assert!(reply.sets_no_cookie());
        assert_eq!(events.count(Level::WARN, DROPPED), 1, "inside: {is_inside}");
        let seen = site.send(&jar, async |s: Session| format!("{} {:?}", s.keys().join(","), s.owner())).await;
        assert_eq!(seen.body, "n None", "inside: {is_inside}");
    }
}

/// The predicate sees status, headers and extensions.
#[tokio::test]
async fn the_application_decides_which_responses_save() {
    #[derive(Clone)]
    struct Keep;
    let site = Site::with(|builder| {
        builder.save_if(|head| {
            head.status.is_success() && !head.headers.contains_key("x-failed")
                || head.extensions.get::<Keep>().is_some()
        })
    });
    let answers: [(fn() -> axum::response::Response, bool); 4] = [
        (|| StatusCode::OK.into_response(), true),
        (|| StatusCode::CONFLICT.into_response(), false),
        (|| [("x-failed", "1")].into_response(), false),
        (|| (StatusCode::INTERNAL_SERVER_ERROR, Extension(Keep)).into_response(), true),
    ];
    for (number, (answer, saves)) in answers.into_iter().enumerate() {
        let jar = site.visitor().await;
        site.send(&jar, async move |session: Session| {
            session.insert("a", 1).unwrap();
            answer()
        })
        .await;
        assert_eq!(site.entry(&jar, "a").await.is_some(), saves, "answer {number}");
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

/// An error of this crate that becomes a server error was reported with its reason; the visitor sees only the status.
#[tokio::test]
async fn an_entry_that_can_not_be_decoded_is_an_event_that_names_key_and_type() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (events, _kept) = Events::keep();
    let reply = site
        .send(&jar, async |session: Session| {
            session.insert("dropped", 1)?;
            session.get::<Vec<String>>("n").map(drop)
        })
        .await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert_eq!(events.count(Level::ERROR, "a handler answered with a session error"), 1);
    let told = events.all().into_iter().find(|line| line.contains("a handler answered")).unwrap();
    assert!(told.contains(r#""n""#) && told.contains("Vec<alloc::string::String>"), "{told}");
}

#[tokio::test]
async fn after_a_save_and_a_touch_a_session_reports_the_stored_times() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        let clock = site.clock.clone();
        let reply = site
            .send(&jar, async move |session: Session| {
                for touches in [false, true, false] {
                    clock.advance(50 * MINUTE);
                    if touches {
                        session.touch_now().await?;
                    } else {
                        session.update("n", |n: &mut u8| *n += 1)?;
                        session.save().await?;
                    }
                    assert_eq!(session.last_used_at(), Some(clock.now()));
                    assert_eq!(session.expires_at(), Some(clock.now() + HOUR));
                }
                ok()
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        site.clock.advance(HOUR - Duration::from_millis(1));
        assert!(is_live(&site, &jar).await, "{name}");
    }
}

/// A read extends the session only after a tenth of its idle timeout; `touch` always does.
#[tokio::test]
async fn a_touch_extends_the_session_at_the_end_of_the_request_and_writes_no_record() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        site.clock.advance(Duration::from_secs(1));
        let touched = async |handler: fn(&Session)| {
            site.store.forget();
            let reply = site.send(&jar, async move |session: Session| handler(&session)).await;
            assert!(reply.sets_no_cookie());
            let used = site.stored(&jar.id()).await.unwrap().used_at == site.clock.now();
            let calls = [Operation::Touch, Operation::Update].map(|operation| site.store.calls(operation));
            (used, calls[0], calls[1])
        };
        assert_eq!(touched(|_| {}).await, (false, 0, 0), "{name}");
        assert_eq!(touched(|session| session.touch()).await, (true, 1, 0), "{name}");
        site.clock.advance(Duration::from_secs(1));
        // The later call takes precedence.
        let skipped = |session: &Session| {
            session.touch();
            session.skip_touch();
        };
        assert_eq!(touched(skipped).await, (false, 0, 0), "{name}");
        let asked = |session: &Session| {
            session.skip_touch();
            session.touch();
        };
        assert_eq!(touched(asked).await, (true, 1, 0), "{name}");
        site.clock.advance(Duration::from_secs(1));
        // A write is a use in any case.
        let written = |session: &Session| {
            session.touch();
            session.update("n", |n: &mut u8| *n += 1).unwrap();
        };
        assert_eq!(touched(written).await, (true, 0, 1), "{name}");
    }
    let site = Site::new();
    let reply = site.send(&site.jar(), async |session: Session| session.touch()).await;
    assert!(reply.sets_no_cookie() && site.store.inner().count().await.unwrap() == 0);
}

#[tokio::test]
async fn touching_an_ended_session_is_an_error_and_touching_a_new_one_does_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let sessions = site.layer.sessions();
    site.send(&jar, async move |session: Session| {
        sessions.end(&session.id().unwrap()).await?;
        assert_eq!(kind(session.touch_now().await), ErrorKind::Gone);
        ok()
    })
    .await;
    site.send(&site.jar(), async |session: Session| session.touch_now().await).await;
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

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
