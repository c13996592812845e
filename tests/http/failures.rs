//! Failures: the response that the visitor gets, and what happens to the data.

use axum::{body::Body, routing::any};
use http::{Response, StatusCode};
use session_layer::{
    DamagedPolicy, Error, ErrorKind, LazySession, Session, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, Step},
    },
    store::{Listing, StoreErrorKind},
};
use tower::ServiceExt;
use tracing::Level;

use crate::support::*;

const INSERT: &str = "Some(\"1\")";

async fn n_is_one(site: &Site, jar: &Jar) {
    assert_eq!(format!("{:?}", site.entry(jar, "n").await), INSERT, "the old state stays");
}

#[tokio::test]
async fn a_load_that_fails_or_times_out_is_503() {
    let site = Site::new();
    let jar = site.visitor().await;
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Timeout, StoreErrorKind::Other] {
        let (events, _guard) = Events::keep();
        site.store.inject(Fault::error(kind).on(Operation::Load));
        let reply = site.send(&jar, async |session: Session| session.insert("n", 2)).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.body, "the session is not available now: try again later");
        assert!(reply.sets_no_cookie());
        assert_eq!(reply.header("vary"), "Cookie");
        assert_eq!(events.count(Level::ERROR, "session not loaded"), 1);
        let kind =
            site.send(&jar, async |session: Result<Session, Error>| format!("{:?}", session.unwrap_err().kind())).await;
        assert_eq!((kind.status, kind.body.as_str()), (StatusCode::OK, "Unavailable"), "it can be dealt with");
        site.store.heal();
    }
    n_is_one(&site, &jar).await;
    assert_eq!(site.store.calls(Operation::Update) + site.store.calls(Operation::Create), 0);
}

#[tokio::test]
async fn a_damaged_record_is_500_and_stays() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    site.store.inject(Fault::corrupt());
    let reply = site.send(&jar, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.body, "Internal Server Error");
    assert!(reply.sets_no_cookie());
    assert_eq!(events.count(Level::ERROR, "session record can't be opened"), 1);
    n_is_one(&site, &jar).await;
    // `destroy` works on it.
    let reply = site.send(&jar, async |lazy: LazySession| Ok::<_, Error>(lazy.destroy().await?.to_string())).await;
    assert_eq!(reply.body, "true");
    assert!(reply.cookies()[0].starts_with("__Host-sid=;"));
    assert!(site.stored(&jar.id()).await.is_none());
}

#[tokio::test]
async fn a_damaged_session_can_start_over_under_a_new_id() {
    let site = Site::with(|builder| builder.damaged_policy(DamagedPolicy::StartOver));
    let old = site.visitor().await;
    let mut jar = old.clone();
    site.store.inject(Fault::corrupt());
    let reply = site
        .visit(&mut jar, async |session: Session| {
            assert!(session.is_new() && session.is_empty());
            session.insert("n", 2)
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_ne!(jar.id(), old.id());
    n_is_one(&site, &old).await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
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
async fn a_superseded_token_gives_an_empty_session_that_can_only_log_in() {
    let site = Site::new();
    let old = site.visitor().await;
    let mut new = old.clone();
    site.visit(&mut new, async |session: Session| session.login("ada")).await;
    let reply = site
        .send(&old, async |session: Session| {
            assert!(session.is_new() && session.is_empty());
            assert_eq!(session.remove("n").unwrap_err().kind(), ErrorKind::Superseded);
            assert_eq!(session.clear().unwrap_err().kind(), ErrorKind::Superseded);
            assert_eq!(session.renew().unwrap_err().kind(), ErrorKind::Superseded);
            assert_eq!(session.destroy().unwrap_err().kind(), ErrorKind::Superseded);
            assert_eq!(session.update("n", |n: &mut u8| *n += 1).unwrap_err().kind(), ErrorKind::Superseded);
            session.insert("n", 2)
        })
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::CONFLICT, "Conflict"));
    assert!(reply.sets_no_cookie());
    n_is_one(&site, &new).await;
    let mut again = old.clone();
    let reply = site.visit(&mut again, async |session: Session| session.login("ada")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_ne!(again.id(), old.id());
    assert!(site.stored(&again.id()).await.is_some() && site.stored(&new.id()).await.is_some());
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

#[tokio::test]
async fn a_session_that_does_not_exist_is_empty_and_gets_a_new_token() {
    let site = Site::new();
    let dead = site.visitor().await;
    site.store.inner().remove(&dead.id()).await.unwrap();
    let mut jar = dead.clone();
    let reply = site.visit(&mut jar, async |session: Session| session.is_new().to_string()).await;
    assert_eq!(reply.body, "true");
    assert!(reply.sets_no_cookie());
    site.visit(&mut jar, async |session: Session| session.insert("n", 2)).await;
    assert_ne!(jar.value, dead.value);
    assert!(site.stored(&dead.id()).await.is_none());
}

#[tokio::test]
async fn a_5xx_drops_changes_but_not_destroy() {
    let site = Site::new();
    let jar = site.visitor().await;
    let handler = async |session: Session| {
        session.insert("n", 2).unwrap();
        session.renew().unwrap();
        (StatusCode::BAD_GATEWAY, "mine")
    };
    let reply = site.send(&jar, handler).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::BAD_GATEWAY, "mine"));
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.total(), 1, "one load");
    n_is_one(&site, &jar).await;
    // A 4xx answer commits like any other.
    let reply = site
        .send(&jar, async |session: Session| {
            session.insert("m", 2).unwrap();
            StatusCode::UNPROCESSABLE_ENTITY
        })
        .await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.entry(&jar, "m").await.as_deref(), Some("2"));
    // `destroy` takes effect, and the changes after it do not.
    let reply = site
        .send(&jar, async |session: Session| {
            session.destroy().unwrap();
            session.insert("n", 2).unwrap();
            StatusCode::INTERNAL_SERVER_ERROR
        })
        .await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(reply.cookies()[0].contains("Max-Age=0"));
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_setting_saves_changes_of_a_5xx() {
    let site = Site::with(|builder| builder.save_if(|_| true));
    let jar = site.visitor().await;
    site.send(&jar, async |session: Session| {
        session.insert("n", 2).unwrap();
        StatusCode::INTERNAL_SERVER_ERROR
    })
    .await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_inner_service_that_fails_drops_changes_but_not_destroy() {
    let site = Site::new();
    let jar = site.visitor().await;
    for destroys in [false, true] {
        let service = tower::ServiceBuilder::new().layer(site.layer.clone()).service_fn(
            move |request: http::Request<Body>| async move {
                let handle = session_layer::SessionHandle::of(request.extensions()).unwrap();
                let session = handle.session(request.headers()).await.unwrap();
                session.insert("n", 2).unwrap();
                if destroys {
                    session.destroy().unwrap();
                }
                Err::<Response<Body>, _>("the connection below broke")
            },
        );
        let error = service.oneshot(request(jar.line().as_deref())).await.unwrap_err();
        assert_eq!(error, "the connection below broke");
        if !destroys {
            n_is_one(&site, &jar).await;
        }
    }
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_session_gone_at_commit_leaves_the_answer_and_sets_no_cookie() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    let (store, id) = (site.store.inner().clone(), jar.id());
    let reply = site
        .send(&jar, async move |session: Session| {
            session.insert("n", 2)?;
            store.remove(&id).await.unwrap();
            assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Gone);
            ok()
        })
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "ok"));
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
    assert_eq!(events.count(Level::WARN, "write to a session that is gone was blocked"), 1);
}

#[tokio::test]
async fn a_session_superseded_at_commit_is_409() {
    let site = Site::new();
    let old = site.visitor().await;
    let (events, _guard) = Events::keep();
    let (twin, other) = (site.clone(), old.clone());
    let new = std::sync::Arc::new(std::sync::Mutex::new(old.clone()));
    let shared = new.clone();
    let reply = site
        .send(&old, async move |session: Session| {
            session.insert("n", 2)?;
            let mut jar = other.clone();
            twin.visit(&mut jar, async |session: Session| session.login("ada")).await;
            *shared.lock().unwrap() = jar;
            ok()
        })
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::CONFLICT, "Conflict"));
    assert!(reply.sets_no_cookie());
    let new = new.lock().unwrap().clone();
    n_is_one(&site, &new).await;
    assert_eq!(events.count(Level::WARN, "write to a session that is gone was blocked"), 1);
}

#[tokio::test]
async fn an_unavailable_store_at_commit_is_503_and_leaves_the_old_state() {
    let site = Site::new();
    let jar = site.visitor().await;
    let (events, _guard) = Events::keep();
    let faults = [(Operation::Update, jar.clone()), (Operation::Create, site.jar())];
    for (operation, jar) in faults {
        site.store.inject(Fault::unavailable().on(operation));
        let reply = site.send(&jar, async |session: Session| session.insert("n", 2)).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "the session is not available now: try again later")
        );
        assert!(reply.sets_no_cookie());
        assert_eq!(reply.header("vary"), "Cookie");
        site.store.heal();
    }
    site.store.inject(Fault::unavailable().on(Operation::Rename));
    let reply = site.send(&jar, async |session: Session| session.login("ada")).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    n_is_one(&site, &jar).await;
    assert_eq!(site.store.inner().count().await.unwrap(), 1);
    assert_eq!(events.count(Level::ERROR, "session not committed"), 3);
    // A failed logout is an error.
    site.store.heal();
    site.store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update));
    let reply = site.send(&jar, async |session: Session| session.destroy()).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.sets_no_cookie());
}

#[tokio::test]
async fn a_commit_out_of_retries_is_503() {
    let site = Site::with(|builder| builder.retry_for(std::time::Duration::ZERO));
    let jar = site.visitor().await;
    let (twin, other) = (site.clone(), jar.clone());
    let (pause, gate) = Fault::pause();
    let pause = std::sync::Mutex::new(Some(pause.on(Operation::Update).nth(2)));
    let handler = async move |session: Session| {
        session.insert("n", 2)?;
        twin.send(&other, async |session: Session| session.insert("n", 1_000)).await;
        // The first attempt conflicts with the other request's write, and the second one with yet another write.
        let pause = pause.lock().unwrap().take().unwrap();
        twin.store.inject(pause);
        ok()
    };
    let handler = std::sync::Arc::new(handler);
    let late = tokio::spawn(site.send(&jar, async move |session: Session| handler(session).await));
    gate.reached().await;
    let held = site.stored(&jar.id()).await.unwrap();
    let usage = held.usage();
    site.store.inner().update(&jar.id(), &held.record, &held.version, usage).await.unwrap();
    gate.release();
    let reply = late.await.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "the session is not available now: try again later")
    );
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1000"));
}

/// No retry setting makes a commit panic.
#[tokio::test]
async fn conflicts_can_be_retried_forever() {
    let site = Site::with(|builder| builder.retry_for(std::time::Duration::MAX));
    let jar = site.visitor().await;
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_hook_chooses_the_failures_answer() {
    let site = Site::new();
    let layer = session_layer::SessionLayer::builder(site.store.clone())
        .clock(site.clock.clone())
        .error_response(|error| {
            Response::builder()
                .status(StatusCode::IM_A_TEAPOT)
                .header("retry-after", "7")
                .body(Body::from(format!("{:?}", error.kind())))
                .unwrap()
        })
        .build()
        .unwrap();
    let router = axum::Router::new().route("/", any(async |session: Session| session.insert("n", 2))).layer(layer);
    site.store.inject(Fault::unavailable().on(Operation::Create));
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::IM_A_TEAPOT, "Unavailable"));
    assert_eq!(reply.header("retry-after"), "7");
    assert_eq!(reply.header("vary"), "Cookie");
}

#[tokio::test]
async fn a_record_that_is_too_large_is_an_error_at_insert() {
    let site = Site::with(|builder| builder.max_record_bytes(2_000));
    let jar = site.visitor().await;
    let reply = site
        .send(&jar, async |session: Session| {
            session.insert("small", 1)?;
            session.insert("large", "x".repeat(2_000))
        })
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large"));
    assert_eq!(site.entry(&jar, "large").await, None);
    n_is_one(&site, &jar).await;
    let reply = site
        .send(&jar, async |session: Session| {
            let grow = session.update("n", |text: &mut String| *text = "x".repeat(3_000));
            assert_eq!(grow.unwrap_err().kind(), ErrorKind::Decode);
            let grow = session.update("m", |text: &mut String| *text = "x".repeat(3_000)).unwrap_err();
            assert_eq!((grow.kind(), grow.key()), (ErrorKind::TooLarge, Some("m")));
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(site.entry(&jar, "m").await, None);
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

#[tokio::test]
async fn a_failed_touch_leaves_the_answer() {
    let site = Site::new();
    let jar = site.visitor().await;
    site.clock.advance(30 * MINUTE);
    let (events, _guard) = Events::keep();
    site.store.inject(Fault::unavailable().on(Operation::Touch));
    let reply = site.send(&jar, async |session: Session| session.keys().join(",")).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "n"));
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.calls(Operation::Touch), 1);
    assert_eq!(events.count(Level::WARN, "touch failed"), 1);
}

#[tokio::test]
async fn after_the_response_has_begun_changes_that_need_a_cookie_are_errors() {
    let site = Site::new();
    let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = |slot: &std::sync::Arc<std::sync::Mutex<Option<Session>>>| {
        let slot = slot.clone();
        async move |session: Session| {
            *slot.lock().unwrap() = Some(session);
        }
    };
    // A visitor without a session.
    site.send(&site.jar(), keep(&slot)).await;
    let session = slot.lock().unwrap().take().unwrap();
    for error in [
        session.insert("n", 1).unwrap_err(),
        session.update("n", |n: &mut u8| *n += 1).unwrap_err(),
        session.login("ada").unwrap_err(),
        session.renew().unwrap_err(),
        session.destroy().unwrap_err(),
        session.set_owner("ada").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ResponseStarted);
    }
    session.save().await.unwrap();
    assert_eq!(site.store.inner().count().await.unwrap(), 0);
    // One with a session: `save` works, renewal does not.
    let jar = site.visitor().await;
    site.send(&jar, keep(&slot)).await;
    let session = slot.lock().unwrap().take().unwrap();
    assert_eq!(session.login("ada").unwrap_err().kind(), ErrorKind::ResponseStarted);
    session.insert("n", 2).unwrap();
    session.save().await.unwrap();
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
    // Unsaved changes are reported as an event.
    session.insert("n", 3).unwrap();
    let (events, _guard) = Events::keep();
    drop(session);
    assert_eq!(events.count(Level::WARN, "unsaved changes dropped"), 1);
    assert_eq!(site.entry(&jar, "n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_missing_layer_tells_the_log_what_to_do_and_the_visitor_nothing() {
    let (events, _guard) = Events::keep();
    let router: axum::Router = axum::Router::new().route("/", any(async |_: Session| "never"));
    let reply = answered(router.oneshot(request(None)).await.unwrap()).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.body, "Internal Server Error", "a visitor can't do anything about it");
    assert_eq!(events.count(Level::ERROR, "add `.layer(SessionLayer::new(store))` to the router"), 1);
    assert_eq!(events.count(Level::ERROR, "a handler answered with"), 0, "it is reported once");
    let error = session_layer::SessionHandle::of(&http::Extensions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingLayer);
}

/// A store that hangs blocks only the requests that call it.
#[tokio::test]
async fn a_hanging_store_call_blocks_only_its_own_session() {
    let site = Site::new();
    let (stuck, other) = (site.visitor().await, site.visitor().await);
    site.store.inject(Fault::hanging().on(Operation::Update).session(&stuck.id()));
    let gate = site.store.pause(Operation::Load, Step::Before);
    gate.release();
    let hanging = tokio::spawn(site.send(&stuck, async |session: Session| session.insert("n", 2)));
    let reply = site.send(&other, async |session: Session| session.insert("n", 2)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = site.send(&stuck, async |session: Session| format!("{:?}", session.get::<u8>("n").unwrap())).await;
    assert_eq!(reply.body, "Some(1)");
    hanging.abort();
}
