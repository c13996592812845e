//! Guarantees that hold with every wrapper: final logouts, merging, expiry, late answers, and arbitrary client input.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::StatusCode;
use proptest::{prelude::*, test_runner::TestRunner};
use session_layer::{
    Clock, ErrorKind, MemoryStore, Session, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Fault, FaultStore, Step},
    },
    store::{Listing, Usage},
};
use tokio::sync::oneshot;

use crate::{stores::sites, support::*};

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Destroyed,
    LoggedIn,
    Renewed,
    Revoked,
    Expired,
}

/// One request loads, the session ends, the request saves. The end falls between the load and the write, or between
/// sending the write and its effect.
#[tokio::test]
async fn a_slow_save_never_revives_a_session_that_has_ended() {
    for end in [End::Destroyed, End::LoggedIn, End::Renewed, End::Revoked, End::Expired] {
        for at_the_write in [false, true] {
            for (name, site) in sites() {
                let place = format!("{end:?} {at_the_write} {name}");
                let jar = site.member("ada").await;
                let mut ended = jar.clone();
                let gate = at_the_write.then(|| {
                    let (pause, gate) = Fault::pause();
                    site.store.inject(pause.on(Operation::Update).session(&jar.id()).nth(1));
                    gate
                });
                let (resume, wait) = oneshot::channel::<()>();
                let (loaded, has_loaded) = oneshot::channel::<()>();
                let channels = Arc::new(std::sync::Mutex::new(Some((loaded, wait))));
                let slow = tokio::spawn(site.send(&jar, async move |session: Session| {
                    let (loaded, wait) = channels.lock().unwrap().take().unwrap();
                    session.insert("revived", 1).unwrap();
                    loaded.send(()).unwrap();
                    if !at_the_write {
                        wait.await.unwrap();
                    }
                }));
                match &gate {
                    Some(gate) => gate.reached().await,
                    None => has_loaded.await.unwrap(),
                }
                let reply = match end {
                    End::Destroyed => site.visit(&mut ended, async |session: Session| session.destroy()).await,
                    End::LoggedIn => site.visit(&mut ended, async |session: Session| session.login("ada")).await,
                    End::Renewed => site.visit(&mut ended, async |session: Session| session.renew()).await,
                    End::Revoked => {
                        let now = site.clock.now();
                        let usage = Usage { used_at: now, expires_at: now + 48 * HOUR };
                        site.outer.renew_epoch("ada", usage).await.unwrap();
                        site.send(&site.jar(), async || "").await
                    }
                    End::Expired => {
                        site.clock.advance(HOUR);
                        site.send(&site.jar(), async || "").await
                    }
                };
                assert_eq!(reply.status, StatusCode::OK, "{place}");
                drop(gate);
                let _ = resume.send(());
                let reply = slow.await.unwrap();
                assert!(reply.sets_no_cookie(), "{place}");
                if let End::Renewed = end {
                    // The session has not ended: during the grace period the old token leads to it, and changes merge.
                    assert_eq!(reply.status, StatusCode::OK, "{place}");
                    let keys = site.send(&ended, async |session: Session| session.keys().join(",")).await;
                    assert_eq!(keys.body, "n,revived", "{place}");
                    site.clock.advance(MINUTE);
                    assert!(!is_live(&site, &jar).await && is_live(&site, &ended).await, "{place}");
                    continue;
                }
                assert!(!is_live(&site, &jar).await, "{place}: it was brought back");
                if let End::LoggedIn = end {
                    assert_eq!(reply.status, StatusCode::CONFLICT, "{place}");
                    let keys = site.send(&ended, async |session: Session| session.keys().join(",")).await;
                    assert_eq!(keys.body, "n", "{place}");
                }
            }
        }
    }
}

/// A change that a request of the model makes to its session.
#[derive(Debug, Clone)]
enum Act {
    Set(u8, u8),
    Add(u8, u8),
    Remove(u8),
    Clear,
}

fn step() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_u8, 0..3_u8).prop_map(|(key, value)| Act::Set(key, value)),
        4 => (0..3_u8, 1..3_u8).prop_map(|(key, value)| Act::Add(key, value)),
        2 => (0..3_u8).prop_map(Act::Remove),
        1 => Just(Act::Clear),
    ]
}

type Entries = BTreeMap<u8, u8>;

fn applied(entries: &mut Entries, steps: &[Act]) {
    for step in steps {
        match *step {
            Act::Set(key, value) => drop(entries.insert(key, value)),
            Act::Add(key, by) => *entries.entry(key).or_default() += by,
            Act::Remove(key) => drop(entries.remove(&key)),
            Act::Clear => entries.clear(),
        }
    }
}

/// Returns the changes that the request logs. A set or remove without effect is not logged, unless a closure ran before
/// it.
fn logged(base: &Entries, steps: &[Act]) -> Vec<Act> {
    let (mut view, mut log) = (base.clone(), Vec::new());
    for step in steps {
        let idle = match step {
            Act::Set(key, value) => {
                view.get(key) == Some(value) && !log.iter().any(|step| matches!(step, Act::Add(..)))
            }
            Act::Remove(key) => !view.contains_key(key),
            _ => false,
        };
        if !idle {
            log.push(step.clone());
        }
        applied(&mut view, std::slice::from_ref(step));
    }
    // A log that changes nothing as a whole is not written.
    if view == *base { Vec::new() } else { log }
}

fn did(session: &Session, steps: &[Act]) {
    for step in steps {
        match *step {
            Act::Set(key, value) => session.insert(key.to_string(), value).unwrap(),
            Act::Add(key, by) => session.update(key.to_string(), move |n: &mut u8| *n += by).unwrap(),
            Act::Remove(key) => drop(session.remove(key.to_string()).unwrap()),
            Act::Clear => session.clear().unwrap(),
        }
    }
}

/// The expected result is that of applying the requests' changes one request after another.
#[test]
fn concurrent_changes_merge_as_if_requests_ran_in_commit_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let requests = prop::collection::vec(prop::collection::vec(step(), 1..5), 2..5);
    let start = prop::collection::btree_map(0..3_u8, 0..3_u8, 0..3);
    let mut runner = TestRunner::new(ProptestConfig { cases: 200, ..ProptestConfig::default() });
    runner
        .run(&(start, requests), |(start, requests)| {
            let (expected, found) = runtime.block_on(merged(start, requests));
            prop_assert_eq!(expected, found);
            Ok(())
        })
        .unwrap();
}

/// Loads in all requests, then lets them commit one after another.
async fn merged(start: Entries, requests: Vec<Vec<Act>>) -> (Entries, Entries) {
    let site = Site::new();
    let mut jar = site.jar();
    let first = start.clone();
    site.visit(&mut jar, async move |session: Session| {
        session.login("ada").unwrap();
        for (key, value) in first {
            session.insert(key.to_string(), value).unwrap();
        }
    })
    .await;
    let mut expected = start.clone();
    let mut waiting = Vec::new();
    for steps in requests {
        applied(&mut expected, &logged(&start, &steps));
        let ((go, wait), (loaded, has_loaded)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        let channels = Arc::new(std::sync::Mutex::new(Some((wait, loaded))));
        let request = tokio::spawn(site.send(&jar, async move |session: Session| {
            let (wait, loaded) = channels.lock().unwrap().take().unwrap();
            did(&session, &steps);
            loaded.send(()).unwrap();
            wait.await.unwrap();
        }));
        has_loaded.await.unwrap();
        waiting.push((go, request));
    }
    for (go, request) in waiting {
        go.send(()).unwrap();
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    let stored = site.stored(&jar.id()).await.unwrap();
    let value = |bytes: &[u8]| std::str::from_utf8(&bytes[1..]).unwrap().parse().unwrap();
    let found = stored.record.entries().iter().map(|(key, bytes)| (key.parse().unwrap(), value(bytes))).collect();
    (expected, found)
}

#[tokio::test]
async fn a_visitor_without_data_causes_no_store_call_and_gets_no_cookie() {
    let site = Site::new();
    let reply = site
        .send(&site.jar(), async |session: Session| {
            assert_eq!(session.get::<u8>("n")?, None);
            session.insert("n", 1)?;
            assert!(session.remove("n")?);
            session.update("m", |n: &mut u8| *n += 1)?;
            session.clear()?;
            session.modify("k", |n: &mut Option<u8>| *n = None)?;
            session.set_lifetime(session_layer::Lifetime::aal3())?;
            session.clear_owner()?;
            session.renew()?;
            session.skip_touch();
            session.save().await?;
            session.reload().await?;
            session.destroy()?;
            assert!(!session.destroy_now().await?);
            ok()
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.sets_no_cookie());
    assert_eq!(site.store.total(), 0);
}

/// The token once led to a session, unlike the ones in `security`, which were never issued.
#[tokio::test]
async fn a_dead_token_is_never_adopted() {
    let site = Site::new();
    let dead = site.visitor().await;
    site.send(&dead, async |session: Session| session.destroy()).await;
    for attempt in 0..3 {
        let mut jar = dead.clone();
        site.visit(&mut jar, async move |session: Session| {
            match attempt {
                0 => session.clear()?,
                1 => session.renew()?,
                _ => session.login("ada")?,
            }
            session.insert("n", 1)
        })
        .await;
        assert_ne!(jar.value, dead.value);
        assert!(site.stored(&dead.id()).await.is_none());
    }
}

/// Whichever call fails, the old record stays as it is or the change is complete.
#[tokio::test]
async fn a_failing_store_never_yields_an_empty_session_or_a_partial_write() {
    for (name, site) in sites() {
        let jar = site.member("ada").await;
        for operation in Operation::REQUIRED.iter().chain(Operation::PROVIDED) {
            let before = site.stored(&jar.id()).await.unwrap().record;
            site.store.inject(Fault::unavailable().on(*operation));
            let reply = site
                .send(&jar, async |session: Session| {
                    assert!(!session.is_new());
                    session.insert("n", 1)
                })
                .await;
            site.store.heal();
            let place = format!("{name} {operation:?} {}", reply.status);
            assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&reply.status), "{place}");
            assert!(reply.sets_no_cookie(), "{place}: no logout");
            assert_eq!(site.stored(&jar.id()).await.unwrap().record, before, "{place}");
            assert!(is_live(&site, &jar).await, "{place}");
        }
    }
}

#[tokio::test]
async fn a_commit_dropped_at_the_store_leaves_the_old_state_and_blocks_nobody() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        let gate = site.store.pause(Operation::Update, Step::Before);
        let dropped = tokio::spawn(site.send(&jar, async |session: Session| session.insert("dropped", 1)));
        gate.reached().await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        gate.release();
        let reply = site
            .send(&jar, async |session: Session| {
                session.insert("next", 1)?;
                session.save().await?;
                Ok::<_, session_layer::Error>(session.keys().join(","))
            })
            .await;
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "n,next"), "{name}");
    }
}

#[tokio::test]
async fn the_server_enforces_expiry_whatever_the_store_says() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        site.clock.advance(HOUR - Duration::from_millis(1));
        site.send(&jar, async |session: Session| session.skip_touch()).await;
        assert!(site.send(&jar, async |session: Session| session.skip_touch()).await.status.is_success());
        site.clock.advance(Duration::from_millis(1));
        assert!(!is_live(&site, &jar).await, "{name}");
    }
    // The store's clock stands still, so it returns the session as live.
    let (still, clock) = (Clock::manual(std::time::UNIX_EPOCH), Clock::manual(std::time::UNIX_EPOCH));
    let store = FaultStore::new(MemoryStore::with_clock(still));
    let site = Site::over(store.clone(), store, clock, |builder| builder);
    let jar = site.visitor().await;
    site.clock.advance(HOUR);
    assert!(!is_live(&site, &jar).await);
}

/// The late request began before the login and answers after it.
#[tokio::test]
async fn a_late_answer_never_replaces_a_newer_logins_cookie() {
    type Late = fn(&Session);
    let acts: [(&str, Late); 5] = [
        ("read", |session| drop(session.keys())),
        ("insert", |session| session.insert("late", 1).unwrap()),
        ("clear", |session| session.clear().unwrap()),
        ("renew", |session| session.renew().unwrap()),
        ("touch", |_| ()),
    ];
    for (name, act) in acts {
        let site = Site::new();
        let old = site.visitor().await;
        let mut browser = old.clone();
        if name == "touch" {
            site.clock.advance(30 * MINUTE);
        }
        let ((go, wait), (loaded, has_loaded)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        let channels = Arc::new(std::sync::Mutex::new(Some((wait, loaded))));
        let late = tokio::spawn(site.send(&old, async move |session: Session| {
            let (wait, loaded) = channels.lock().unwrap().take().unwrap();
            act(&session);
            loaded.send(()).unwrap();
            wait.await.unwrap();
        }));
        has_loaded.await.unwrap();
        site.visit(&mut browser, async |session: Session| session.login("ada")).await;
        go.send(()).unwrap();
        let reply = late.await.unwrap();
        assert!(reply.sets_no_cookie(), "{name}");
        browser.absorb(&reply);
        assert!(is_live(&site, &browser).await, "{name}");
        assert_eq!(site.store.inner().count().await.unwrap(), 1, "{name}");
    }
    // A logout with the old cookie ended nothing, so it removes no cookie.
    let site = Site::new();
    let old = site.visitor().await;
    let mut browser = old.clone();
    let ((go, wait), (loaded, has_loaded)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
    let channels = Arc::new(std::sync::Mutex::new(Some((wait, loaded))));
    let late = tokio::spawn(site.send(&old, async move |session: Session| {
        let (wait, loaded) = channels.lock().unwrap().take().unwrap();
        loaded.send(()).unwrap();
        wait.await.unwrap();
        session.destroy().unwrap();
    }));
    has_loaded.await.unwrap();
    site.visit(&mut browser, async |session: Session| session.login("ada")).await;
    go.send(()).unwrap();
    let reply = late.await.unwrap();
    assert_eq!(reply.status, StatusCode::CONFLICT, "the logout could not take effect");
    browser.absorb(&reply);
    assert!(browser.value.is_some(), "the login's cookie is left: {:?}", reply.cookies());
    assert!(is_live(&site, &browser).await);
    let tombstone = site.stored(&old.id()).await.unwrap();
    assert!(!tombstone.record.is_session(), "the old token stays known as superseded");
}

#[tokio::test]
async fn reading_never_rewrites_a_record() {
    for (name, site) in sites() {
        let jar = site.member("ada").await;
        let version = site.stored(&jar.id()).await.unwrap().version;
        for minutes in [0, 1, 30] {
            site.clock.advance(minutes * MINUTE);
            site.send(&jar, async |session: Session| session.get::<u8>("n").unwrap().unwrap().to_string()).await;
        }
        assert_eq!(site.stored(&jar.id()).await.unwrap().version, version, "{name}");
        for write in [Operation::Create, Operation::Update, Operation::Rename, Operation::End, Operation::Remove] {
            assert_eq!(site.store.calls(write), 0, "{name} {write:?}");
        }
        assert_eq!(site.store.calls(Operation::Touch), 1, "{name}");
    }
}

#[tokio::test]
async fn a_failed_destroy_is_an_error_and_can_be_retried() {
    for (name, site) in sites() {
        let jar = site.visitor().await;
        site.store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update).first(1));
        let reply = site
            .send(&jar, async |session: Session| {
                session.destroy().unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            })
            .await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert!(reply.sets_no_cookie(), "{name}");
        assert!(is_live(&site, &jar).await, "{name}");
        // A failed `destroy_now` is tried again at the end of the request.
        site.store.heal();
        site.store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update).first(1));
        let reply = site
            .send(&jar, async |session: Session| {
                assert_eq!(session.destroy_now().await.unwrap_err().kind(), ErrorKind::Unavailable);
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert!(reply.cookies()[0].contains("Max-Age=0"), "{name}");
        assert!(site.stored(&jar.id()).await.is_none(), "{name}");
    }
}

#[test]
fn no_cookie_header_panics_the_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let site = Site::new();
    let piece = prop_oneof![
        Just(b"__Host-sid=".to_vec()),
        Just(b"; ".to_vec()),
        Just(b"=".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
        "[A-Za-z0-9_-]{32}".prop_map(String::into_bytes),
    ];
    let line = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let mut runner = TestRunner::new(ProptestConfig { cases: 500, ..ProptestConfig::default() });
    runner
        .run(&prop::collection::vec(line, 1..4), |lines| {
            let mut request = request(None);
            for line in lines {
                if let Ok(value) = http::HeaderValue::from_bytes(&line) {
                    request.headers_mut().append("cookie", value);
                }
            }
            let router = site.router(async |session: Session| session.is_new().to_string());
            let reply =
                runtime.block_on(async { answered(tower::ServiceExt::oneshot(router, request).await.unwrap()).await });
            prop_assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "true"));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_flood_of_anonymous_sessions_evicts_no_login() {
    let clock = Clock::manual(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let bounded = MemoryStore::builder().capacity(100).clock(clock.clone()).open().unwrap();
    let store = FaultStore::new(bounded);
    let site = Site::over(store.clone(), store, clock, |builder| builder);
    let mut members = Vec::new();
    for name in ["ada", "bob", "eve"] {
        members.push(site.member(name).await);
    }
    for _ in 0..1_000 {
        site.visitor().await;
    }
    for member in &members {
        assert!(is_live(&site, member).await);
    }
}

/// The default layer has the default cookie and uses the system's clock.
#[tokio::test]
async fn the_default_layer_needs_no_settings() {
    let store = MemoryStore::new();
    let layer = SessionLayer::new(store.clone());
    let session = layer.new_session();
    session.insert("n", 1).unwrap();
    session.save().await.unwrap();
    let cookie = layer.request_cookie(&session).unwrap();
    let router = axum::Router::new()
        .route("/", axum::routing::any(async |session: Session| format!("{:?}", session.get::<u8>("n").unwrap())))
        .layer(layer);
    let reply = tower::ServiceExt::oneshot(router, request(Some(cookie.to_str().unwrap()))).await.unwrap();
    assert_eq!(answered(reply).await.body, "Some(1)");
    assert_eq!(store.count().await.unwrap(), 1);
}
