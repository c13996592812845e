//! Client-side caching: a session is served without a round trip until the server reports that it may have changed.
//!
//! To measure how late a change by another process is seen:
//!
//! ```text
//! SESSION_LAYER_WINDOW=100000 cargo test --release --test redis window -- --nocapture
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use session_layer::{
    CachedStore, Clock, EncryptedStore, KeyRing, RedisStore, Secret, Session, SessionId, SessionStore,
    conformance::{self, Harness},
    store::{CacheConfig, Holder, RedisStoreBuilder, StoreErrorKind, Touch, Tracked, Update, Usage},
};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    proxy::Proxy,
    refusals::PERMISSIONS,
    server::{Cluster, MASTER, Product, Sentinels, Server, slot_of},
    support::*,
};

/// Longer than any pause of a busy machine, so that only messages end what is tracked.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn tracking(server: &Server) -> RedisStore {
    patient(builder(server)).tracking(LONG).build().unwrap()
}

pub(crate) fn patient(builder: RedisStoreBuilder) -> RedisStoreBuilder {
    builder.connect_timeout(Duration::from_secs(5)).request_timeout(Duration::from_secs(5))
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    // Shorter than `LONG`, so that a missed change is found before the window has passed.
    let limit = Instant::now() + Duration::from_secs(15);
    while !holds().await {
        assert!(Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until_changed(what: &str, tracked: &Tracked) {
    until(&format!("{what}: still current"), async || !tracked.is_current()).await;
}

async fn tracked(store: &impl SessionStore, id: &SessionId) -> Tracked {
    let stored = store.load(id).await.unwrap().expect("it is there");
    let tracked = stored.tracked.expect("a store that tracks");
    assert!(tracked.is_current());
    tracked
}

pub(crate) fn sealed<S: SessionStore>(store: S) -> EncryptedStore<S> {
    let secret: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(41).wrapping_add(3));
    EncryptedStore::new(store, KeyRing::new(Secret::from_bytes(secret).unwrap()))
}

/// Returns how many requests the store has sent during the call.
pub(crate) async fn requests(store: &RedisStore, call: impl Future) -> u64 {
    let before = store.statistics().requests;
    call.await;
    store.statistics().requests - before
}

#[tokio::test]
async fn a_cached_session_is_served_without_a_request_until_another_process_changes_it() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let (ours, other) = (tracking(&server), store(&server));
        let cached = CachedStore::new(ours.clone());
        // So that the server has the scripts.
        let warm = loaded(&ours, &stored(&ours).await).await;
        ours.refresh(&id(), &warm).await.unwrap();
        let id = id();
        let first = record(b"1");
        cached.create(&id, &first, usage(&first)).await.unwrap();
        let some = async {
            for _ in 0..100 {
                assert_eq!(value(&cached.load(&id).await.unwrap().unwrap()), b"1");
            }
        };
        assert_eq!(requests(&ours, some).await, 0, "{product:?}");

        let held = loaded(&other, &id).await;
        let next = record(b"2");
        let Update::Updated(_) = other.update(&id, &next, &held.version, usage(&next)).await.unwrap() else { panic!() };
        until("the new value", async || value(&cached.load(&id).await.unwrap().unwrap()) == b"2").await;
        assert_eq!(requests(&ours, cached.load(&id)).await, 0);

        assert!(other.remove(&id).await.unwrap());
        until("the end", async || cached.load(&id).await.unwrap().is_none()).await;
        // A write that names a version from before the removal brings nothing back.
        assert_eq!(cached.update(&id, &next, &held.version, usage(&next)).await.unwrap(), Update::Gone);
    }
}

#[tokio::test]
async fn every_kind_of_change_ends_what_is_tracked() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let (ours, other) = (tracking(&server), store(&server));
        let day = Duration::from_secs(86_400);
        let now = SystemTime::now();

        let id = stored(&other).await;
        let before = tracked(&ours, &id).await;
        let touch = other.touch(&id, Usage::keep_for(now + Duration::from_secs(5), day * 20)).await;
        assert_eq!(touch.unwrap(), Touch::Touched);
        until_changed("a touch", &before).await;

        let before = tracked(&ours, &id).await;
        let leases = other.leases().unwrap();
        leases.acquire(&id, Holder::generate().unwrap(), day).await.unwrap();
        until_changed("a lease", &before).await;

        let before = tracked(&ours, &id).await;
        let (to, session) = (self::id(), record(b"2"));
        let version = loaded(&other, &id).await.version;
        other.rename(&id, &version, &tombstone(), &to, &session, usage(&session)).await.unwrap();
        until_changed("a rename", &before).await;

        let before = tracked(&ours, &to).await;
        other.end(&to, &loaded(&other, &to).await.version, now).await.unwrap();
        until_changed("an end", &before).await;

        let (one, two) = (stored(&other).await, stored(&other).await);
        let before = [tracked(&ours, &one).await, tracked(&ours, &two).await];
        assert_eq!(other.clearing().unwrap().clear().await.unwrap(), 2);
        for tracked in &before {
            until_changed("a clear", tracked).await;
        }

        let id = stored(&other).await;
        let before = tracked(&ours, &id).await;
        server.cli(&["FLUSHALL"]);
        until_changed("FLUSHALL", &before).await;

        // Redis reports an expired key when it removes it.
        let id = self::id();
        let short = record(b"1");
        other.create(&id, &short, Usage::keep_for(SystemTime::now(), Duration::from_millis(300))).await.unwrap();
        let before = tracked(&ours, &id).await;
        until_changed("expiry", &before).await;

        let id = stored(&other).await;
        let before = tracked(&ours, &id).await;
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        until_changed("a lost connection", &before).await;
        tracked(&ours, &id).await;
    }
}

/// Scripts are tracked as well. A session that the process has not seen before is read by a script.
#[tokio::test]
async fn what_scripts_read_is_tracked_and_through_a_seal_as_well() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let writer = sealed(store(&server));
        let (id, session) = (id(), record(b"1"));
        writer.create(&id, &session, usage(&session)).await.unwrap();
        let reader = sealed(tracking(&server));
        let first = tracked(&reader, &id).await;
        let second = tracked(&reader, &id).await;
        assert!(writer.remove(&id).await.unwrap());
        until_changed("a first load", &first).await;
        until_changed("a second load", &second).await;
    }
}

async fn read(session: Session) -> Result<(), session_layer::Error> {
    session.get::<u8>("n").map(drop)
}

async fn login(session: Session) -> Result<(), session_layer::Error> {
    session.login("ada")
}

async fn owner(session: Session) -> StatusCode {
    if session.owner().is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

#[tokio::test]
async fn a_request_of_a_logged_in_visitor_makes_no_round_trip_until_the_owner_is_revoked() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let (ours, other) = (tracking(&server), store(&server));
        let mut site = Site::new(&CachedStore::new(ours.clone()));
        assert_eq!(site.visit(login).await, StatusCode::OK);
        // The first visit reads the epoch.
        assert_eq!(site.visit(owner).await, StatusCode::OK);
        let visits = async {
            for _ in 0..20 {
                assert_eq!((site.visit(owner).await, site.visit(read).await), (StatusCode::OK, StatusCode::OK));
            }
        };
        assert_eq!(requests(&ours, visits).await, 0, "{product:?}");
        other.renew_epoch("ada", Usage::keep_for(SystemTime::now(), LONG)).await.unwrap();
        until("the revocation", async || site.visit(owner).await == StatusCode::UNAUTHORIZED).await;
    }
}

/// This process needn't wait for the server's message about its own changes.
#[tokio::test]
async fn what_this_process_changes_it_sees_at_once() {
    let server = Server::start(Product::Redis, &[]);
    let ours = tracking(&server);
    let usage_of_epoch = Usage::keep_for(SystemTime::now(), LONG);
    for _ in 0..300 {
        let id = stored(&ours).await;
        let held = loaded(&ours, &id).await;
        let next = record(b"2");
        ours.update(&id, &next, &held.version, usage(&next)).await.unwrap();
        assert!(!held.tracked.unwrap().is_current());
        let before = ours.ensure_epoch("ada", usage_of_epoch).await.unwrap();
        assert_eq!(ours.owner_epoch("ada").await.unwrap(), Some(before));
        ours.renew_epoch("ada", usage_of_epoch).await.unwrap();
        assert_ne!(ours.owner_epoch("ada").await.unwrap(), Some(before));
    }
}

/// If nothing arrives from the server any more, neither answers nor messages, the window limits what is tracked.
#[tokio::test]
async fn a_silent_connection_is_relied_on_for_the_window_only() {
    let server = Server::start(Product::Valkey, &[]);
    let proxy = Proxy::start(server.port()).await;
    let window = Duration::from_millis(400);
    let limit = Duration::from_millis(200);
    let ours = RedisStore::builder()
        .server(proxy.address())
        .tracking(window)
        .connect_timeout(Duration::from_secs(5))
        .request_timeout(limit)
        .build()
        .unwrap();
    let cached = CachedStore::new(ours.clone());
    let other = store(&server);
    let id = stored(&other).await;
    until("it is cached", async || cached.load(&id).await.is_ok()).await;
    // From now on, the other process's logout is not reported here.
    proxy.delay(Duration::from_secs(600));
    assert!(other.remove(&id).await.unwrap());
    let logged_out = Instant::now();
    loop {
        let asked = logged_out.elapsed();
        match cached.load(&id).await {
            Ok(Some(_)) => assert!(asked < window, "served {asked:?} after the logout"),
            Ok(None) => panic!("nothing comes through"),
            Err(error) => {
                assert!(matches!(error.kind(), StoreErrorKind::Timeout | StoreErrorKind::Unavailable), "{error:?}");
                break;
            }
        }
    }
    // When the network is back, the session is gone.
    proxy.delay(Duration::ZERO);
    proxy.cut();
    until("it answers again", async || cached.load(&id).await.is_ok_and(|stored| stored.is_none())).await;
}

/// Answered requests renew the window for everything that is tracked on their connection.
#[tokio::test]
async fn one_request_in_each_window_is_enough_for_all_sessions() {
    let server = Server::start(Product::Redis, &[]);
    let window = Duration::from_millis(400);
    let ours = patient(builder(&server)).tracking(window).connections(1).build().unwrap();
    let cached = CachedStore::new(ours.clone());
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(stored(&ours).await);
        cached.load(&ids[ids.len() - 1]).await.unwrap();
    }
    let begin = Instant::now();
    let before = ours.statistics().requests;
    while begin.elapsed() < window * 5 {
        for id in &ids {
            cached.load(id).await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Each window needs one request. On a busy machine, several windows can pass between two loads.
    let (made, windows) = (ours.statistics().requests - before, begin.elapsed().as_millis() / window.as_millis());
    assert!(made >= 1 && u128::from(made) <= windows + 2, "{made} requests in {windows} windows");
}

#[tokio::test]
async fn without_the_permission_the_error_names_the_setting() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        server.cli(&[&["ACL", "SETUSER", "app", "on", ">hunter2"][..], &PERMISSIONS].concat());
        let app = || builder(&server).credentials("app", "hunter2").tracking(LONG);
        let error = app().connect().await.unwrap_err();
        let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(text.contains("setting `tracking`") || format!("{error:?}").contains("setting `tracking`"), "{text}");
        server.cli(&["ACL", "SETUSER", "app", "+client|tracking"]);
        let id = stored(&store(&server)).await;
        tracked(&app().connect().await.unwrap(), &id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_each_nodes_messages_count_and_a_slot_that_moves_is_read_again() {
    for product in Product::ALL {
        let cluster = Cluster::start(product);
        let nodes = || patient(RedisStore::builder().cluster(cluster.addresses()));
        let (ours, other) = (nodes().tracking(LONG).build().unwrap(), nodes().build().unwrap());
        let cached = CachedStore::new(ours.clone());
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.push(stored(&other).await);
        }
        for id in &ids {
            cached.load(id).await.unwrap();
        }
        let all = async {
            for id in &ids {
                assert_eq!(value(&cached.load(id).await.unwrap().unwrap()), b"1");
            }
        };
        assert_eq!(requests(&ours, all).await, 0);
        for id in &ids[..30] {
            assert!(other.remove(id).await.unwrap());
        }
        for id in &ids[..30] {
            until("the end", async || cached.load(id).await.unwrap().is_none()).await;
        }
        let id = ids[30];
        let before = tracked(&ours, &id).await;
        let slot = slot_of(&cluster.nodes[0], &key(&id));
        let from = cluster.primary_of(slot);
        cluster.migrate(slot, (from + 1) % 3, |_| {});
        until_changed("a slot that moved", &before).await;
        tracked(&ours, &id).await;
        assert!(other.remove(&id).await.unwrap());
        until("the end on the new node", async || cached.load(&id).await.unwrap().is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_ends_what_the_old_primary_tracked() {
    for product in Product::ALL {
        let sentinels = Sentinels::start(product);
        let limit = Duration::from_secs(1);
        let servers = || {
            let builder = RedisStore::builder().sentinels(sentinels.addresses(), MASTER).replicas(1);
            builder.connect_timeout(limit).request_timeout(limit)
        };
        let window = Duration::from_secs(2);
        let (ours, other) = (servers().tracking(window).build().unwrap(), servers().build().unwrap());
        let cached = CachedStore::new(ours);
        let id = stored(&other).await;
        assert!(cached.load(&id).await.unwrap().is_some());
        sentinels.failover();
        until("it is ended at the new primary", async || matches!(other.remove(&id).await, Ok(true))).await;
        until("the end is seen", async || matches!(cached.load(&id).await, Ok(None))).await;
    }
}

/// All checks except those through a second handle, which gets the server's messages a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_relies_on_messages_passes_the_kit() {
    let open = |clock: &Clock| {
        let server = Server::start(Product::Valkey, &[]);
        let store = patient(builder(&server)).clock(clock.clone()).tracking(LONG).value_size_limit(1_048_576);
        (store.build().unwrap(), server)
    };
    let (mut running, at_once) = (JoinSet::new(), Arc::new(Semaphore::new(6)));
    for check in conformance::checks() {
        let permit = Arc::clone(&at_once).acquire_owned().await.unwrap();
        let clock = conformance::manual_clock();
        let (store, server) = open(&clock);
        let settings = CacheConfig::new().capacity(64).clock(clock.clone());
        let harness = Harness::new(CachedStore::with_config(sealed(store), settings), clock).expects_all();
        let harness = harness.unit(Duration::from_secs(20)).rounds(20).holds(1_000_000).keep(server);
        running.spawn(async move {
            let outcome = check.run(harness).await;
            drop(permit);
            outcome
        });
    }
    for outcome in running.join_all().await {
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    }
}

/// The contract's sentence about tracked records, through two handles.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_tracked_passes_the_kit() {
    for product in Product::ALL {
        let server = Arc::new(Server::start(product, &[]));
        let is_about = |check: &&conformance::Check| ["L7", "F2"].iter().any(|it| check.sentences.contains(it));
        let checks: Vec<_> = conformance::checks().iter().filter(is_about).collect();
        assert_eq!(checks.len(), 4);
        for check in checks {
            let clock = conformance::manual_clock();
            let store = || patient(builder(&server)).clock(clock.clone()).tracking(LONG).build().unwrap();
            let harness = Harness::new(store(), clock.clone()).twin(store()).unit(Duration::from_secs(20)).rounds(100);
            let outcome = check.run(harness.keep(Arc::clone(&server))).await;
            assert!(outcome.failure.is_none() && outcome.skipped.is_empty(), "{outcome:?}");
        }
    }
}

/// Increments through two caches that rely on messages: none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_brought_back_while_a_message_is_on_its_way() {
    const KEYS: usize = 20;
    const INCREMENTS: usize = 50;
    let server = Server::start(Product::Valkey, &[]);
    let stores = [CachedStore::new(tracking(&server)), CachedStore::new(tracking(&server))];
    let mut ids = Vec::new();
    for _ in 0..KEYS {
        let (id, first) = (id(), record(b"0"));
        stores[0].create(&id, &first, usage(&first)).await.unwrap();
        ids.push(id);
    }
    let mut tasks = Vec::new();
    for store in &stores {
        let (store, ids) = (store.clone(), ids.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..INCREMENTS {
                for id in &ids {
                    loop {
                        let held = store.load(id).await.unwrap().expect("it lives");
                        let number: u64 = std::str::from_utf8(value(&held)).unwrap().parse().unwrap();
                        let next = record((number + 1).to_string().as_bytes());
                        if let Update::Updated(_) = store.update(id, &next, &held.version, usage(&next)).await.unwrap()
                        {
                            break;
                        }
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for id in &ids {
        let expected = (2 * INCREMENTS).to_string();
        until("all increments", async || value(&stores[1].load(id).await.unwrap().unwrap()) == expected.as_bytes())
            .await;
        let stale = stores[1].load(id).await.unwrap().unwrap();
        assert!(stores[0].remove(id).await.unwrap());
        let late = record(b"late");
        let revived = stores[1].update(id, &late, &stale.version, usage(&late)).await.unwrap();
        assert_eq!(revived, Update::Gone);
    }
}

/// Measures how long another process's cache serves the old state after a change was answered.
#[tokio::test(flavor = "multi_thread")]
async fn the_window_between_an_answer_and_its_message_is_measured() {
    let rounds = std::env::var("SESSION_LAYER_WINDOW").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    let server = Server::start(Product::Redis, &[]);
    let (ours, other) = (tracking(&server), store(&server));
    let id = stored(&other).await;
    let mut held = loaded(&other, &id).await;
    let (mut late, mut times) = (0_u32, Vec::with_capacity(rounds));
    for round in 0..rounds {
        let before = tracked(&ours, &id).await;
        let next = record(round.to_string().as_bytes());
        let Update::Updated(version) = other.update(&id, &next, &held.version, usage(&next)).await.unwrap() else {
            panic!("nobody else writes")
        };
        held.version = version;
        let answered = Instant::now();
        late += u32::from(before.is_current());
        while before.is_current() {
            tokio::task::yield_now().await;
            assert!(answered.elapsed() < Duration::from_secs(30), "the message is lost");
        }
        times.push(answered.elapsed());
    }
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{rounds} changes, {late} seen after the answer: median {:?}, 99 % {:?}, 99.9 % {:?}, longest {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
