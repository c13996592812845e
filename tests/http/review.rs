//! Regressions of the session and the middleware.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use http::StatusCode;
use session_layer::{
    DamagedPolicy, Error, ErrorKind, LazySession, Session, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Bare, Fault, Step},
    },
    store::{Listing, StoreErrorKind, Usage},
};
use tower::{Service, ServiceExt};

use crate::support::*;

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

/// When the save fails, its changes return to the session, except those that `destroy` has dropped meanwhile. No login
/// remains pending.
#[tokio::test]
async fn a_failed_save_does_not_give_back_what_destroy_dropped() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::Before);
    site.store.inject(Fault::unavailable().on(Operation::Rename).nth(1));
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
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

/// A spawned `save` is moving the session to a new token when the handler answers. The response carries the new cookie.
#[tokio::test]
async fn a_response_waits_for_the_cookie_of_a_save_under_way() {
    let site = Site::new();
    let mut jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::After);
    let shared = Arc::new(std::sync::Mutex::new(Some(gate)));
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            session.renew()?;
            let gate = shared.lock().unwrap().take().unwrap();
            tokio::spawn(async move { session.save().await });
            gate.reached().await;
            tokio::spawn(async move { gate.release() });
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.cookies().len(), 1, "a session that nobody has the token of");
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

/// A commit that renews the session runs to its end, even if the client disconnects right after it began.
#[tokio::test]
async fn a_login_whose_commit_has_begun_survives_a_disconnect() {
    let site = Site::new();
    let jar = site.visitor().await;
    let old = jar.id();
    {
        let mut router = site.router(async |session: Session| session.login("ada"));
        let call = router.as_service().ready().await.unwrap().call(request(jar.line().as_deref()));
        let mut call = pin!(call);
        // The commit has begun once a poll could have sent the rename to the store.
        let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(first.is_pending());
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let left = site.stored(&old).await.unwrap();
    assert!(!left.record.is_session(), "the old token is superseded");
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

/// A change that was reverted before the `reload` is not replayed over another request's write.
#[tokio::test]
async fn reload_forgets_reverted_changes() {
    let site = Site::new();
    let jar = site.visitor().await;
    let twin = site.clone();
    let other = jar.clone();
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("n", 2)?;
            session.insert("n", 1)?; // as it was loaded
            twin.send(&other, async |session: Session| session.insert("n", 7)).await;
            session.reload().await?;
            assert_eq!(session.get::<u8>("n")?, Some(7));
            session.insert("x", 1)?;
            twin.send(&other, async |session: Session| session.insert("y", 1)).await;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("7"));
    assert_eq!(site.entry(&jar, "x").await.as_deref(), Some("1"));
}

/// A closure that captures its own session is dropped at the end of the request, even if it changed nothing.
#[tokio::test]
async fn a_closure_that_changed_nothing_is_dropped_with_the_request() {
    let site = Site::new();
    let jar = site.visitor().await;
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let reply = site
        .send(&jar, async move |session: Session| {
            let (own, held) = (session.clone(), held.clone());
            session.update("n", move |_: &mut u8| {
                let _ = (&own, &held);
            })?;
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(Arc::strong_count(&alive), 1, "the session and its closures leak");
}

/// `destroy` works on a damaged record, also with the policy that starts over.
#[tokio::test]
async fn destroy_ends_a_damaged_session_that_was_started_over() {
    let site = Site::with(|builder| builder.damaged_policy(DamagedPolicy::StartOver));
    let jar = site.visitor().await;
    site.store.inject(Fault::corrupt());
    let reply = site.send(&jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(site.stored(&jar.id()).await.is_none(), "the key may come back, and the session with it");
    assert!(reply.cookies()[0].contains("Max-Age=0"));
    // The same with a `LazySession`.
    let site = Site::with(|builder| builder.damaged_policy(DamagedPolicy::StartOver));
    let jar = site.visitor().await;
    site.store.inject(Fault::corrupt());
    let reply = site.send(&jar, async |lazy: LazySession| Ok::<_, Error>(lazy.destroy().await?.to_string())).await;
    assert_eq!(reply.body, "true");
    assert!(site.stored(&jar.id()).await.is_none());
}

#[tokio::test]
async fn a_response_that_depends_on_has_cookie_varies_by_cookie() {
    let site = Site::new();
    let reply = site.send(&site.jar(), async |lazy: LazySession| lazy.has_cookie().to_string()).await;
    assert_eq!(reply.body, "false");
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(reply.header("cache-control"), "private");
    assert_eq!(site.store.total(), 0);
}

/// The outermost and the innermost of three layers have the same cookie name. There is still at most one session of
/// that name.
#[tokio::test]
async fn a_repeated_cookie_name_is_recognised_through_another_layer() {
    let site = Site::new();
    let other = SessionLayer::builder(site.store.clone())
        .cookie(session_layer::CookieConfig::new("other"))
        .clock(site.clock.clone())
        .build()
        .unwrap();
    let router = axum::Router::new()
        .route("/", axum::routing::any(async |session: Session| session.insert("n", 1)))
        .layer(site.layer.clone())
        .layer(other)
        .layer(axum::middleware::from_fn(
            async |session: Session, request: axum::extract::Request, next: axum::middleware::Next| {
                session.insert("outer", 1).unwrap();
                next.run(request).await
            },
        ))
        .layer(site.layer.clone());
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    let mut names: Vec<_> = reply.cookies().into_iter().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["__Host-other", "__Host-sid"], "one session each");
}

/// The session is revoked between the request's load and its login.
#[tokio::test]
async fn a_login_over_a_revoked_session_takes_no_data_along() {
    let site = Site::new();
    let mut jar = site.member("ada").await;
    let store = site.store.inner().clone();
    let clock = site.clock.clone();
    let old = jar.id();
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            let until = clock.now() + 48 * HOUR;
            store.renew_epoch("ada", Usage { used_at: clock.now(), expires_at: until }).await.unwrap();
            session.insert("own", 1)?;
            session.login("ada")
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_ne!(jar.id(), old);
    assert_eq!(site.entry(&jar, "own").await.as_deref(), Some("1"));
    assert_eq!(site.entry(&jar, "n").await, None, "data of the revoked session");
}

/// A touch that finds no session is neither an error nor reported as a touch.
#[tokio::test]
async fn a_touch_of_an_ended_session_changes_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let (store, id) = (site.store.inner().clone(), jar.id());
    let reply = site
        .send(&jar, async move |session: Session| {
            store.remove(&id).await.unwrap();
            session.keys().join(",")
        })
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "n"));
    assert_eq!(site.store.calls(Operation::Touch), 1);
    assert!(reply.sets_no_cookie());
    assert!(site.stored(&jar.id()).await.is_none());
}

/// The merged result of a commit stays, even if a change made during the commit can't be applied to it.
#[tokio::test]
async fn a_closure_that_fails_on_the_merged_record_undoes_nothing() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Update, Step::Before);
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    let (twin, other) = (site.clone(), jar.clone());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("x", 1)?;
            let saving = tokio::spawn({
                let session = session.clone();
                async move { session.save().await }
            });
            let gate = gate.lock().unwrap().take().unwrap();
            gate.reached().await;
            twin.send(&other, async |session: Session| session.insert("n", "text")).await;
            session.update("n", |n: &mut u8| *n += 1)?;
            gate.release();
            saving.await.unwrap()?;
            ok()
        })
        .await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("\"text\""), "the other request's write is lost");
    assert_eq!(site.entry(&jar, "x").await.as_deref(), Some("1"));
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "the change can't be made, and says so");
}

/// If the lifetime grows after the login, the owner's epoch is extended to last as long as the session.
#[tokio::test]
async fn a_longer_lifetime_extends_the_owners_epoch() {
    let site = Site::new();
    let jar = site.member("ada").await;
    let long = session_layer::Lifetime::new(30 * 24 * HOUR, 90 * 24 * HOUR).unwrap();
    site.send(&jar, async move |session: Session| session.set_lifetime(long)).await;
    for _ in 0..4 {
        site.clock.advance(20 * 24 * HOUR);
        let reply = site.send(&jar, async |session: Session| format!("{:?}", session.owner())).await;
        assert_eq!(reply.body, "Some(\"ada\")", "it was taken for revoked");
    }
}

/// A login that was taken back does not let a superseded token issue a cookie.
#[tokio::test]
async fn a_login_taken_back_leaves_the_token_superseded() {
    let site = Site::new();
    let old = site.visitor().await;
    site.visit(&mut old.clone(), async |session: Session| session.login("ada")).await;
    let reply = site
        .send(&old, async |session: Session| {
            session.login("bob")?;
            session.destroy()?;
            session.insert("n", 1)
        })
        .await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.inner().count().await.unwrap(), 1);
}

/// The session is revoked before the request that removes its owner commits.
#[tokio::test]
async fn removing_the_owner_revives_no_revoked_session() {
    for next in [None, Some("bob")] {
        for renews in [false, true] {
            let site = Site::new();
            let mut jar = site.member("ada").await;
            let store = site.store.inner().clone();
            let clock = site.clock.clone();
            site.visit(&mut jar, async move |session: Session| {
                let until = clock.now() + 48 * HOUR;
                store.renew_epoch("ada", Usage { used_at: clock.now(), expires_at: until }).await.unwrap();
                next.map_or_else(|| session.clear_owner(), |next| session.set_owner(next))?;
                if renews { session.renew() } else { Ok(()) }
            })
            .await;
            let reply = site.send(&jar, async |session: Session| session.keys().join(",")).await;
            assert_eq!(reply.body, "", "the data of a revoked session is back: {next:?}, {renews}");
        }
    }
}

/// Changes that a 5xx answer dropped stay dropped if a `save` fails afterwards.
#[tokio::test]
async fn a_failed_save_does_not_give_back_what_a_5xx_dropped() {
    let site = Site::new();
    let jar = site.visitor().await;
    let gate = site.store.pause(Operation::Rename, Step::Before);
    site.store.inject(Fault::unavailable().on(Operation::Rename).nth(1));
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
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

/// A spawned `save` is creating the session when the handler answers 5xx. The response carries the cookie, since the
/// save is not undone.
#[tokio::test]
async fn a_5xx_waits_for_the_cookie_of_a_save_under_way() {
    let site = Site::new();
    let mut jar = site.jar();
    let gate = site.store.pause(Operation::Create, Step::After);
    let shared = Arc::new(std::sync::Mutex::new(Some(gate)));
    let reply = site
        .visit(&mut jar, async move |session: Session| {
            session.insert("n", 1).unwrap();
            let gate = shared.lock().unwrap().take().unwrap();
            tokio::spawn(async move { session.save().await });
            gate.reached().await;
            tokio::spawn(async move { gate.release() });
            StatusCode::INTERNAL_SERVER_ERROR
        })
        .await;
    assert_eq!(reply.cookies().len(), 1, "a session that nobody has the token of");
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

/// A record above the limit can be written if the change makes it smaller, so its visitor can log in.
#[tokio::test]
async fn a_record_that_is_too_large_can_shrink() {
    let large = Site::new();
    let mut jar = large.jar();
    large.visit(&mut jar, async |session: Session| session.insert("big", "x".repeat(3_000))).await;
    let site = Site::over(large.store.clone(), large.store.clone(), large.clock.clone(), |builder| {
        builder.max_record_bytes(2_000)
    });
    let reply = site.send(&jar, async |session: Session| session.insert("big", "x".repeat(2_500))).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = site.visit(&mut jar, async |session: Session| session.login("ada")).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = site.send(&jar, async |session: Session| session.insert("more", 1)).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "it does not grow");
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

/// No retry setting makes a commit panic.
#[tokio::test]
async fn conflicts_can_be_retried_forever() {
    let site = Site::with(|builder| builder.retry_for(std::time::Duration::MAX));
    let jar = site.visitor().await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

/// A `remove` after a closure also removes the value that the closure produces when it runs again.
#[tokio::test]
async fn a_remove_after_a_closure_is_replayed() {
    for takes in [false, true] {
        let site = Site::new();
        let jar = site.visitor().await;
        let (twin, other) = (site.clone(), jar.clone());
        let reply = site
            .send(&jar, async move |session: Session| {
                session.modify("n", |n: &mut Option<u8>| *n = n.filter(|&n| n != 1))?;
                if takes {
                    assert_eq!(session.take::<u8>("n")?, None);
                } else {
                    assert!(!session.remove("n")?);
                }
                twin.send(&other, async |session: Session| session.insert("n", 7)).await;
                ok()
            })
            .await;
        // `take` has read the entry, so another request's change of it is a conflict. A blind `remove` wins.
        let (status, left) = if takes { (StatusCode::CONFLICT, Some("7")) } else { (StatusCode::OK, None) };
        assert_eq!(reply.status, status);
        assert_eq!(site.entry(&jar, "n").await.as_deref(), left);
    }
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

/// The inner layer has issued a new token when the outer layer's commit fails. The answer keeps the inner layer's
/// cookie.
#[tokio::test]
async fn a_failing_outer_layer_keeps_the_inner_layers_cookie() {
    let outer = Site::new();
    let inner = Site::new().named("__Host-other");
    let layer = SessionLayer::builder(inner.store.clone())
        .cookie(session_layer::CookieConfig::new("other"))
        .clock(inner.clock.clone())
        .build()
        .unwrap();
    outer.store.inject(Fault::unavailable().on(Operation::Create));
    let router = axum::Router::new()
        .route("/", axum::routing::any(async |session: Session| session.login("ada")))
        .layer(layer)
        .layer(axum::middleware::from_fn(
            async |session: Session, request: axum::extract::Request, next: axum::middleware::Next| {
                session.insert("outer", 1).unwrap();
                next.run(request).await
            },
        ))
        .layer(outer.layer.clone());
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut jar = inner.jar();
    jar.absorb(&reply);
    assert!(jar.value.is_some(), "the only token of a session that was logged in is lost: {reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// A request loads the session, and another one extends its lifetime. The first one's late touch does not end it early.
#[tokio::test]
async fn a_late_touch_by_the_old_lifetime_does_not_shorten_the_session() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let gate = site.store.pause(Operation::Touch, Step::Before);
    let late = tokio::spawn(site.send(&jar, async |session: Session| session.keys().join(",")));
    gate.reached().await;
    let week = session_layer::Lifetime::new(7 * 24 * HOUR, 28 * 24 * HOUR).unwrap();
    site.send(&jar, async move |session: Session| session.set_lifetime(week)).await;
    gate.release();
    late.await.unwrap();
    for _ in 0..4 {
        site.clock.advance(40 * MINUTE);
        let reply = site.send(&jar, async |session: Session| session.keys().join(",")).await;
        assert_eq!(reply.body, "n", "expired by the lifetime that it had before");
    }
    assert_eq!(site.store.calls(Operation::Touch), 1, "the late one; a week is not a tenth over");
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
