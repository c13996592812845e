//! Provokes every kind of event, and checks that an observer that panics changes nothing.

use std::{
    collections::BTreeSet,
    fs,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use http::StatusCode;
use session_layer::{
    CachedStore, EncryptedStore, Error, ErrorKind, FileStore, KeyRing, LazySession, Lifetime, MemoryStore,
    ObservedStore, Secret, Session, SessionId, SessionLayer, SessionStore,
    conformance::{
        Operation,
        fault::{Bare, Fault, FaultStore},
    },
    id::SessionToken,
    store::{CacheConfig, Create, FileStoreBuilder, Holder, Listing, MemoryStoreBuilder, Stored, Usage},
};

use crate::{crowded::*, support::*};

pub(crate) type Scenario = fn(Seen) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The scenarios, each with the events that an observer receives. A scenario takes the events of its own setup.
macro_rules! scenarios {
    ($($name:ident => [$($line:literal),* $(,)?];)*) => {
        pub(crate) const SCENARIOS: &[(&str, Scenario, &[&str])] =
            &[$((stringify!($name), |seen| Box::pin($name(seen)), &[$($line),*])),*];

        /// Each scenario as a separate test, so that a failure has its name.
        mod alone {
            $(#[tokio::test]
            async fn $name() {
                let seen = super::Seen::default();
                super::$name(seen.clone()).await;
                assert_eq!(seen.all(), [$($line),*] as [&str; _]);
            })*
        }
    };
}

scenarios! {
    revoked_where_the_store_has_no_list => [
        "call load done #1 +", "call owner_epoch done", "no_session (revoked) #1 +",
    ];
    another_token_of_the_same_id => ["call load done #1 +", "no_session (unknown) #1 +"];
    a_store_that_returns_the_expired => ["call load done #1 +", "no_session (expired) #1 +"];
    a_session_that_is_gone_when_it_is_touched => [
        "call load done #1 +", "loaded #1 +", "call touch absent #1", "no_session (unknown) #1",
    ];
    superseded_when_it_is_saved => [
        "call load done #1 +", "loaded #1 +", "call load done #1 +", "loaded #1 +", "call ensure_epoch done",
        "call rename done #1 +", "renewed (login) #1 #2 +", "call update conflict #1 +",
        "no_session (superseded) #1 +", "write_blocked Superseded #1",
    ];
    a_save_outside_of_any_request_is_blocked_and_reported_once => [
        "call load done #1 +", "call update absent #1 +", "write_blocked Gone #1", "call update absent #1 +",
    ];
    changes_that_nobody_saves => ["call load done #1 +", "loaded #1 +", "changes_dropped (unsaved) #1"];
    changes_of_a_request_that_has_failed => [
        "call load done #1 +", "loaded #1 +", "changes_dropped (response) #1",
        "call load done #1 +", "loaded #1 +", "changes_dropped (response) #1",
    ];
    changes_of_a_save_that_has_failed => [
        "call load done #1 +", "loaded #1 +", "call update failed Unavailable #1 +", "changes_dropped (failed save) #1",
    ];
    changes_of_a_request_that_is_dropped => [
        "call load done #1 +", "loaded #1 +", "changes_dropped (request dropped) #1",
    ];
    a_handler_that_answers_with_a_session_error => [
        "call load done #1 +", "loaded #1 +", "handler_failed Decode n",
    ];
    a_record_that_can_not_be_opened => ["call load failed Corrupt #1", "damaged Corrupt #1"];
    a_load_that_fails => ["call load failed Unavailable #1", "load_failed Unavailable #1"];
    a_commit_that_fails => [
        "call load done #1 +", "loaded #1 +", "call update failed Timeout #1 +", "commit_failed Unavailable #1",
    ];
    a_logout_that_fails => [
        "call load done #1 +", "loaded #1 +", "call end failed Unavailable #1", "commit_failed Unavailable #1",
        "changes_dropped (unsaved) #1",
    ];
    a_touch_that_fails => [
        "call load done #1 +", "loaded #1 +", "call touch failed Unavailable #1", "touch_failed Unavailable #1",
    ];
    a_layer_in_itself => ["nested_layer __Host-sid", "no_session (no cookie)"];
    a_secure_cookie_over_plain_http => [
        "no_session (no cookie)", "call create done #1 +", "created #1 +", "secure_cookie_over_http __Host-sid",
        "no_session (no cookie)", "call create done #2 +", "created #2 +",
    ];
    an_epoch_of_nobody => ["call owner_epoch absent", "call renew_epoch done"];
    an_eviction => [
        "call create done #2 +", "created #2 +", "evicted #1 +", "call create done #3 +", "created #3 +",
    ];
    an_expired_record_in_the_way => ["expired #1 +"];
    a_sweep_of_the_memory_store => ["expired #1 +", "swept 1 1", "call sweep done 1"];
    a_sweep_of_the_file_store => ["expired #1", "swept 1 1", "call sweep done 1"];
    idle_sessions_deleted => ["swept 1 0", "call delete_idle done 1"];
    a_damaged_file => ["not_opened load Corrupt #1", "call load failed Corrupt #1", "damaged Corrupt #1"];
    a_record_sealed_with_another_key => [
        "not_opened load Corrupt #1", "call load failed Corrupt #1", "damaged Corrupt #1",
        "not_opened reseal Corrupt #1",
    ];
    a_cache => [
        "cache_hit true #1", "call load done #1 +", "loaded #1 +", "cache_hit true #1", "call load done #1 +",
        "call end done #1", "destroyed #1", "cache_miss #1", "call load absent #1", "no_session (unknown) #1",
        "call create done #2 +", "created #2 +", "cache_evicted 1", "call create done #3 +", "created #3 +",
    ];
    a_cache_that_trusts => ["cache_hit false #1", "call load done #1 +", "loaded #1 +"];
    a_cache_whose_store_was_changed_elsewhere => [
        "cache_miss #1", "call load done #1 +", "loaded #1 +", "cache_miss #1", "call load absent #1",
        "no_session (unknown) #1",
    ];
    every_outcome => [
        "call create done #1 +", "call create exists #1 +", "call refresh done #1", "call acquire done #1",
        "call refresh changed #1 +", "call acquire held #1", "call release absent #1", "call release done #1",
        "call count done 1", "call ids done 1", "call flush done", "call list_owner done 0", "call clear done 1",
        "call load dropped #1", "call load failed Timeout #1", "call close done",
    ];
    owners_others_revoked => [
        "call load done #1 +", "call list_owner done 2", "call renew_epoch done", "call ensure_epoch done",
        "call update done #1 +", "call list_owner done 2", "call owner_epoch done", "call end done #2",
        "destroyed #2", "owner_revoked 1 #1",
    ];
    one_of_an_owners_sessions_ended => [
        "call load done #1 +", "call end done #1", "destroyed #1",
    ];
    a_turn_that_is_refused => [
        "call load done #1 +", "loaded #1 +", "call acquire held #1", "turn_refused (timed out waiting) #1",
    ];
    a_lease_that_is_not_given_back => [
        "call load done #1 +", "loaded #1 +", "call acquire done #1", "call release failed Unavailable #1",
        "release_failed Unavailable #1",
    ];
    a_login_that_is_refused => ["call list_owner done 1", "call owner_epoch done", "login_refused 1"];
    a_session_that_makes_room => [
        "call list_owner done 1", "call owner_epoch done", "call load done #1 +", "call end done #1", "destroyed #1",
        "call ensure_epoch done", "call create done #2 +", "created (login) #2 +", "call list_owner done 1",
        "call owner_epoch done",
    ];
    a_session_too_many => [
        "call list_owner done 0", "call owner_epoch absent", "call ensure_epoch done", "call create done #1 +",
        "created (login) #1 +", "call list_owner done 2", "call owner_epoch done", "call load done #1 +",
        "call end done #1", "destroyed #1", "call list_owner done 1", "call owner_epoch done",
    ];
    a_session_too_many_that_can_not_be_ended => [
        "call list_owner done 0", "call owner_epoch absent", "call ensure_epoch done", "call create done #1 +",
        "created (login) #1 +", "call list_owner done 2", "call owner_epoch done", "call load done #1 +",
        "call end failed Unavailable #1", "call list_owner done 2", "call owner_epoch done",
    ];
    sessions_that_can_not_be_counted_again => [
        "call list_owner done 0", "call owner_epoch absent", "call ensure_epoch done", "call create done #1 +",
        "created (login) #1 +", "call list_owner failed Unavailable",
    ];
}

#[tokio::test]
async fn every_kind_of_event_is_provoked() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (_, scenario, _) in SCENARIOS {
        let notes = Seen::default();
        scenario(notes.clone()).await;
        seen.extend(notes.all().iter().map(|line| line.split(' ').next().unwrap().to_owned()));
    }
    let source = include_str!("../../src/events/accessors.rs");
    let names = source.lines().filter_map(|line| line.trim().strip_suffix("\",")?.split_once("{ .. } => \""));
    let names: BTreeSet<_> = names.map(|(_, name)| if name == "operation" { "call" } else { name }).collect();
    assert!(names.len() > 20, "{names:?}");
    // These are in the scripted visit.
    let visited = ["saved", "touched", "conflict_merged", "two_live_cookies"];
    let all: BTreeSet<_> = seen.iter().map(String::as_str).chain(visited).collect();
    assert_eq!(all, names);
}

/// The other observer receives the same events, and each scenario's own assertions hold.
#[tokio::test]
async fn an_observer_that_panics_changes_nothing_under_any_event() {
    for (name, scenario, told) in SCENARIOS {
        let panicking = Arc::new(Panicking::default());
        let seen = Seen::beside(panicking.clone());
        scenario(seen.clone()).await;
        assert_eq!(seen.all(), *told, "{name}");
        assert!(panicking.count() >= told.len() as u64, "{name}: the other one was told and panicked");
    }
}

/// A layer over a store whose faults the scenario controls, and a browser with a session.
async fn site(seen: &Seen) -> (FaultStore<MemoryStore>, session_layer::Clock, Browser) {
    let clock = clock();
    let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
    let mut browser = Browser::new(over(store.clone(), seen, &clock, |builder| builder));
    assert_eq!(browser.visit(insert).await, StatusCode::OK);
    seen.all();
    (store, clock, browser)
}

async fn insert(session: Session) -> Result<(), Error> {
    session.insert("n", 1)
}

async fn change(session: Session) -> Result<(), Error> {
    session.insert("n", 2)
}

async fn read(_: Session) {}

async fn member(layer: &SessionLayer, owner: &str) -> SessionId {
    let session = layer.new_session();
    session.login(owner).unwrap();
    session.save().await.unwrap();
    session.id().unwrap()
}

async fn revoked_where_the_store_has_no_list(seen: Seen) {
    let clock = clock();
    let layer = over(Bare(MemoryStore::with_clock(clock.clone())), &seen, &clock, |builder| builder);
    let mut browser = Browser::new(layer.clone());
    browser.visit(async |session: Session| session.login("ada")).await;
    layer.sessions().revoke_all("ada").await.unwrap();
    seen.all();
    assert_eq!(browser.visit(async |session: Session| assert!(session.is_new())).await, StatusCode::OK);
}

async fn another_token_of_the_same_id(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::another_check());
    assert_eq!(browser.visit(async |session: Session| assert!(session.is_new())).await, StatusCode::OK);
}

async fn a_store_that_returns_the_expired(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::expired());
    assert_eq!(browser.visit(async |session: Session| assert!(session.is_new())).await, StatusCode::OK);
}

async fn a_session_that_is_gone_when_it_is_touched(seen: Seen) {
    let (store, clock, mut browser) = site(&seen).await;
    clock.advance(10 * MINUTE);
    let store = store.inner().clone();
    let handler =
        async move |session: Session| store.remove(&session.id().unwrap()).await.map(drop).map_err(Error::from);
    assert_eq!(browser.visit(handler).await, StatusCode::OK);
}

async fn superseded_when_it_is_saved(seen: Seen) {
    let (_, _, mut browser) = site(&seen).await;
    let twin = Arc::new(Mutex::new(Some((browser.layer.clone(), browser.cookie.clone().unwrap()))));
    let handler = async move |session: Session| {
        let (layer, cookie) = twin.lock().unwrap().take().unwrap();
        session.insert("n", 2)?;
        send(&layer, &[&cookie], async |session: Session| session.login("ada")).await;
        Ok::<_, Error>(())
    };
    assert_eq!(browser.visit(handler).await, StatusCode::CONFLICT);
}

async fn a_save_outside_of_any_request_is_blocked_and_reported_once(seen: Seen) {
    let (store, _, browser) = site(&seen).await;
    let id = id_of(browser.cookie.as_deref().unwrap());
    let session = browser.layer.open_session(id).await.unwrap().unwrap();
    store.inner().remove(&id).await.unwrap();
    session.insert("n", 2).unwrap();
    for _ in 0..2 {
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Gone);
    }
    assert_eq!(store.inner().count().await.unwrap(), 0);
}

async fn changes_that_nobody_saves(seen: Seen) {
    let (_, _, mut browser) = site(&seen).await;
    let kept = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&kept);
    browser.visit(async move |session: Session| *slot.lock().unwrap() = Some(session)).await;
    let session = kept.lock().unwrap().take().unwrap();
    session.insert("n", 2).unwrap();
    drop(session);
}

async fn changes_of_a_request_that_has_failed(seen: Seen) {
    let (_, _, mut browser) = site(&seen).await;
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::REQUEST_TIMEOUT] {
        let handler = async move |session: Session| {
            change(session).await.unwrap();
            status
        };
        assert_eq!(browser.visit(handler).await, status);
    }
}

async fn changes_of_a_save_that_has_failed(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::unavailable().on(Operation::Update));
    let handler = async |session: Session| {
        change(session.clone()).await.unwrap();
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Unavailable);
    };
    assert_eq!(browser.visit(handler).await, StatusCode::OK);
}

async fn changes_of_a_request_that_is_dropped(seen: Seen) {
    let (_, _, browser) = site(&seen).await;
    let cookies = [browser.cookie.as_deref().unwrap()];
    let handler = async |session: Session| {
        change(session).await.unwrap();
        std::future::pending::<()>().await;
    };
    let mut request = Box::pin(send(&browser.layer, &cookies, handler));
    assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

async fn a_handler_that_answers_with_a_session_error(seen: Seen) {
    let (_, _, mut browser) = site(&seen).await;
    let handler = async |session: Session| session.get::<String>("n").map(drop);
    assert_eq!(browser.visit(handler).await, StatusCode::INTERNAL_SERVER_ERROR);
}

async fn a_record_that_can_not_be_opened(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::corrupt());
    assert_eq!(browser.visit(read).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(store.inner().count().await.unwrap(), 1);
}

async fn a_load_that_fails(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::unavailable().on(Operation::Load));
    assert_eq!(browser.visit(read).await, StatusCode::SERVICE_UNAVAILABLE);
}

async fn a_commit_that_fails(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::error(session_layer::store::StoreErrorKind::Timeout).on(Operation::Update));
    assert_eq!(browser.visit(change).await, StatusCode::SERVICE_UNAVAILABLE);
}

async fn a_logout_that_fails(seen: Seen) {
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::unavailable().on(Operation::End).on(Operation::Update));
    assert_eq!(browser.visit(async |session: Session| session.destroy()).await, StatusCode::SERVICE_UNAVAILABLE);
}

async fn a_touch_that_fails(seen: Seen) {
    let (store, clock, mut browser) = site(&seen).await;
    clock.advance(10 * MINUTE);
    store.inject(Fault::unavailable().on(Operation::Touch));
    assert_eq!(browser.visit(read).await, StatusCode::OK);
}

async fn a_layer_in_itself(seen: Seen) {
    use axum::{Router, body::Body, routing::any};
    use tower::ServiceExt;

    let clock = clock();
    let layer = || over(MemoryStore::with_clock(clock.clone()), &seen, &clock, |builder| builder);
    let router: Router = Router::new().route("/", any(read)).layer(layer()).layer(layer());
    let response = router.oneshot(http::Request::new(Body::empty())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

async fn a_secure_cookie_over_plain_http(seen: Seen) {
    use axum::{Router, body::Body, routing::any};
    use tower::ServiceExt;

    let clock = clock();
    let layer = over(MemoryStore::with_clock(clock.clone()), &seen, &clock, |builder| builder);
    let router: Router = Router::new().route("/", any(insert)).layer(layer);
    for _ in 0..2 {
        let request = http::Request::get("/").header("host", "192.168.1.7:3000").body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
}

async fn an_epoch_of_nobody(seen: Seen) {
    let store = seen_store(&seen, MemoryStore::new());
    assert_eq!(store.owner_epoch("nobody").await.unwrap(), None);
    let usage = Usage { used_at: clock().now(), expires_at: clock().now() };
    store.renew_epoch("nobody", usage).await.unwrap();
}

async fn an_eviction(seen: Seen) {
    let clock = clock();
    let builder = MemoryStore::builder().capacity(2).clock(clock.clone());
    let store = seen.watch(builder, MemoryStoreBuilder::observe).open().unwrap();
    let layer = over(store.clone(), &seen, &clock, |builder| builder);
    send(&layer, &[], insert_lazily).await;
    seen.all();
    for _ in 0..2 {
        clock.advance(MINUTE);
        send(&layer, &[], insert_lazily).await;
    }
    assert_eq!(store.count().await.unwrap(), 2);
    let told = seen.all();
    seen.put_back(told.into_iter().filter(|line| line != "no_session (no cookie)"));
}

async fn insert_lazily(session: Session) -> Result<(), Error> {
    session.insert("n", 1)
}

/// A new id, and a record created at this clock's time.
fn fresh(clock: &session_layer::Clock) -> (SessionId, Arc<session_layer::record::Record>, Usage) {
    let (id, check) = SessionToken::generate().unwrap().identify("sid");
    let record = Arc::new(session_layer::record::Record::session(check, clock.now(), Lifetime::default()));
    let usage = Usage::at(&record, clock.now());
    (id, record, usage)
}

async fn an_expired_record_in_the_way(seen: Seen) {
    let clock = clock();
    let store = seen.watch(MemoryStore::builder().clock(clock.clone()), MemoryStoreBuilder::observe).open().unwrap();
    let (id, record, usage) = fresh(&clock);
    store.create(&id, &record, usage).await.unwrap();
    clock.advance(Lifetime::default().idle());
    let usage = Usage::at(&record, clock.now());
    assert!(matches!(store.create(&id, &record, usage).await.unwrap(), Create::Created(_)));
}

/// Two sessions, of which one has expired.
async fn two(store: &impl SessionStore, clock: &session_layer::Clock) {
    let (id, record, usage) = fresh(clock);
    store.create(&id, &record, usage).await.unwrap();
    clock.advance(Lifetime::default().idle());
    let (id, record, usage) = fresh(clock);
    store.create(&id, &record, usage).await.unwrap();
}

async fn a_sweep_of_the_memory_store(seen: Seen) {
    let clock = clock();
    let store = seen.watch(MemoryStore::builder().clock(clock.clone()), MemoryStoreBuilder::observe).open().unwrap();
    two(&store, &clock).await;
    over(store, &seen, &clock, |builder| builder).sessions().sweep().await.unwrap();
}

async fn a_sweep_of_the_file_store(seen: Seen) {
    let (clock, dir) = (clock(), tempfile::tempdir().unwrap());
    let builder = FileStore::builder(dir.path()).clock(clock.clone()).sweep_interval(None);
    let store = seen.watch(builder, FileStoreBuilder::observe).open().await.unwrap();
    two(&store, &clock).await;
    over(store, &seen, &clock, |builder| builder).sessions().sweep().await.unwrap();
}

async fn idle_sessions_deleted(seen: Seen) {
    let clock = clock();
    let store = seen.watch(MemoryStore::builder().clock(clock.clone()), MemoryStoreBuilder::observe).open().unwrap();
    let (id, record, usage) = fresh(&clock);
    store.create(&id, &record, usage).await.unwrap();
    clock.advance(30 * MINUTE);
    let layer = over(store, &seen, &clock, |builder| builder);
    layer.sessions().delete_idle(10 * MINUTE).await.unwrap();
}

async fn a_damaged_file(seen: Seen) {
    let (clock, dir) = (clock(), tempfile::tempdir().unwrap());
    let builder = FileStore::builder(dir.path()).clock(clock.clone()).sweep_interval(None);
    let store = seen.watch(builder, FileStoreBuilder::observe).open().await.unwrap();
    let mut browser = Browser::new(over(store.clone(), &seen, &clock, |builder| builder));
    browser.visit(insert).await;
    let id = id_of(browser.cookie.as_deref().unwrap()).to_string();
    let path = store.dir().join(&id[..2]).join(&id);
    // A failing disk leaves the file's times as they were.
    let metadata = fs::metadata(&path).unwrap();
    fs::write(&path, b"damaged").unwrap();
    let times = fs::FileTimes::new().set_accessed(metadata.accessed().unwrap());
    let times = times.set_modified(metadata.modified().unwrap());
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    seen.all();
    assert_eq!(browser.visit(read).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(fs::read(&path).unwrap(), b"damaged");
}

async fn a_record_sealed_with_another_key(seen: Seen) {
    let clock = clock();
    let inner = MemoryStore::with_clock(clock.clone());
    let sealed = EncryptedStore::new(inner.clone(), ring());
    let mut browser = Browser::new(over(sealed, &seen, &clock, |builder| builder));
    browser.visit(insert).await;
    let other =
        KeyRing::new(Secret::from_bytes(std::array::from_fn::<u8, 32, _>(|i| u8::try_from(i * 3).unwrap())).unwrap());
    let sealed = seen.watch(EncryptedStore::new(inner, other), EncryptedStore::observe);
    browser.layer = over(sealed.clone(), &seen, &clock, |builder| builder);
    seen.all();
    assert_eq!(browser.visit(read).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(sealed.reseal_all().await.unwrap().refused, 1);
}

/// A cached store that does not step aside. Two sessions fit, one in each half.
fn cached(seen: &Seen, clock: &session_layer::Clock, settings: CacheConfig) -> (MemoryStore, SessionLayer) {
    let inner = MemoryStore::with_clock(clock.clone());
    let remote = FaultStore::new(inner.clone()).posing_as("remote", false);
    let settings = seen.watch(settings.clock(clock.clone()), CacheConfig::observe);
    (inner, over(CachedStore::with_config(remote, settings), seen, clock, |builder| builder))
}

async fn a_cache(seen: Seen) {
    let clock = clock();
    let (_, layer) = cached(&seen, &clock, CacheConfig::new().capacity(1));
    let mut browser = Browser::new(layer.clone());
    browser.visit(insert).await;
    seen.all();
    browser.visit(read).await;
    layer.sessions().end(&id_of(browser.cookie.as_deref().unwrap())).await.unwrap();
    browser.visit(read).await;
    for _ in 0..2 {
        let session = layer.new_session();
        insert(session.clone()).await.unwrap();
        session.save().await.unwrap();
    }
}

async fn a_cache_that_trusts(seen: Seen) {
    let clock = clock();
    let (_, layer) = cached(&seen, &clock, CacheConfig::new().trusted(MINUTE));
    let mut browser = Browser::new(layer);
    browser.visit(insert).await;
    seen.all();
    browser.visit(read).await;
}

async fn a_cache_whose_store_was_changed_elsewhere(seen: Seen) {
    let clock = clock();
    let (inner, layer) = cached(&seen, &clock, CacheConfig::new());
    let mut browser = Browser::new(layer);
    browser.visit(insert).await;
    seen.all();
    let id = id_of(browser.cookie.as_deref().unwrap());
    let Stored { record, version, .. } = inner.load(&id).await.unwrap().unwrap();
    inner.update(&id, &record, &version, Usage::at(&record, clock.now())).await.unwrap();
    browser.visit(read).await;
    inner.remove(&id).await.unwrap();
    browser.visit(read).await;
}

fn seen_store<S: SessionStore>(seen: &Seen, store: S) -> session_layer::DynStore {
    use session_layer::DynStore;
    seen.watch(DynStore::new(store), |store, observer| DynStore::new(ObservedStore::new(store, observer)))
}

async fn every_outcome(seen: Seen) {
    let clock = clock();
    let faulty = FaultStore::new(MemoryStore::with_clock(clock.clone()));
    let store = seen_store(&seen, faulty.clone());
    let (id, record, usage) = fresh(&clock);
    store.create(&id, &record, usage).await.unwrap();
    store.create(&id, &record, usage).await.unwrap();
    let held = faulty.inner().load(&id).await.unwrap().unwrap();
    store.refresh(&id, &held).await.unwrap();
    let (one, two) = (Holder::from_u128(1), Holder::from_u128(2));
    let (leases, listing) = (store.leases().unwrap(), store.listing().unwrap());
    leases.acquire(&id, one, MINUTE).await.unwrap();
    store.refresh(&id, &held).await.unwrap();
    leases.acquire(&id, two, MINUTE).await.unwrap();
    leases.release(&id, two).await.unwrap();
    leases.release(&id, one).await.unwrap();
    listing.count().await.unwrap();
    listing.ids(session_layer::store::Cursor::START, 10).await.unwrap();
    store.flush().await.unwrap();
    store.owners().unwrap().list_owner("ada").await.unwrap();
    store.clearing().unwrap().clear().await.unwrap();
    // The client disconnects while the store is at work.
    faulty.inject(Fault::hanging().on(Operation::Load));
    let mut call = Box::pin(store.load(&id));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    faulty.heal();
    faulty.inject(Fault::error(session_layer::store::StoreErrorKind::Timeout).on(Operation::Load));
    store.load(&id).await.unwrap_err();
    faulty.heal();
    store.close().await.unwrap();
}

async fn owners_others_revoked(seen: Seen) {
    let clock = clock();
    let layer = watched(&seen, &clock, |builder| builder);
    let (keep, other) = (member(&layer, "ada").await, member(&layer, "ada").await);
    seen.all();
    assert!(layer.sessions().revoke_others("ada", &keep).await.unwrap());
    assert!(!layer.sessions().contains(&other).await.unwrap());
    let told = seen.all();
    // `contains` reports the missing session as well.
    seen.put_back(told.into_iter().take_while(|line| line != "call load absent #2"));
}

async fn one_of_an_owners_sessions_ended(seen: Seen) {
    let layer = watched(&seen, &clock(), |builder| builder);
    let id = member(&layer, "ada").await;
    seen.all();
    assert!(layer.sessions().revoke_one("ada", &id).await.unwrap());
}

/// A lazy session is ended without being opened.
#[tokio::test]
async fn a_session_ended_without_being_opened_is_reported() {
    let seen = Seen::default();
    let (store, _, mut browser) = site(&seen).await;
    store.inject(Fault::corrupt().first(1));
    browser.visit(async |lazy: LazySession| lazy.destroy().await.map(|ended| assert!(ended))).await;
    let told = seen.all();
    assert_eq!(told.last().unwrap(), "destroyed #1", "{told:?}");
}
