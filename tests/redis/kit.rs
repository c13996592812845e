//! The conformance kit on a real server.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use session_layer::{
    CachedStore, Clock, EncryptedStore, KeyRing, RedisStore, Secret, SessionStore,
    conformance::{self, Harness},
    store::{CacheConfig, RedisStoreBuilder, RedisTls},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    certificate::Certificate,
    proxy::Proxy,
    server::{Cluster, MASTER, Product, Sentinels, Server, slot_of},
    support::{id, key, proxied},
    unruly::{Habits, Twice, Unruly},
};

/// The harness for a server. Its clock is passed to the scripts, and starts at the server's time.
///
/// If the kit moves the clock, no session may be so short-lived that the server's clock, which can't be moved, ends it
/// first. A tombstone, which lives for a minute, must outlive the shortest session by far.
fn harness(builder: RedisStoreBuilder, clock: Clock) -> Harness {
    // Longer than a debug build on a busy machine needs: the kit fails on any error that it did not cause.
    let limit = Duration::from_secs(5);
    let builder =
        builder.connect_timeout(limit).request_timeout(limit).clock(clock.clone()).value_size_limit(1_048_576);
    let store = builder.clone().build().expect("good settings");
    let unit = Duration::from_secs(if clock.is_manual() { 20 } else { 1 });
    Harness::new(store, clock)
        .twin(builder.build().expect("good settings"))
        .expects_all()
        .unit(unit)
        .refuses(1_048_576)
        .holds(1_000_000)
        .rounds(20)
}

/// Adds all hooks: damaging bytes, and a server that is unavailable but keeps its data.
fn with_hooks(server: Server, builder: RedisStoreBuilder, clock: Clock) -> Harness {
    let server = Arc::new(server);
    let (damaged, down, probe) = (Arc::clone(&server), Arc::clone(&server), builder.clone());
    let harness = harness(builder, clock).keep(server);
    let harness = harness.damage(move |id| {
        damaged.cli(&["SET", &key(&id), "garbage"]);
        async {}
    });
    harness.outage(move |is_down| {
        if is_down {
            down.stop();
        } else {
            down.resume();
        }
        let probe = probe.clone();
        async move {
            if !is_down {
                let probe = probe.build().expect("good settings");
                while probe.load(&id()).await.is_err() {}
                // Within this time, the store under test recovers.
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    })
}

/// Runs all checks, several at once.
async fn run(open: impl Fn() -> Harness, leave_out: &[&str]) {
    let (mut running, at_once) = (JoinSet::new(), Arc::new(Semaphore::new(6)));
    let mut started = 0;
    for check in conformance::checks().iter().filter(|check| !leave_out.contains(&check.name)) {
        let permit = Arc::clone(&at_once).acquire_owned().await.expect("it is not closed");
        let harness = open();
        started += 1;
        running.spawn(async move {
            let outcome = check.run(harness).await;
            drop(permit);
            outcome
        });
    }
    let outcomes = running.join_all().await;
    let lines = |lines: Vec<&dyn Debug>| lines.iter().map(|line| format!("{line:?}\n")).collect::<String>();
    let failures: Vec<_> =
        outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Only the hook for losing answers is missing; see `answers_that_are_lost` and
    // `answers_of_a_cluster_that_are_lost`.
    let skipped = outcomes.iter().filter(|outcome| !outcome.check.starts_with("g6_"));
    let skipped: Vec<_> = skipped.flat_map(|outcome| outcome.skipped.iter().map(|skip| skip as &dyn Debug)).collect();
    assert!(skipped.is_empty(), "{}", lines(skipped));
    assert_eq!(outcomes.len(), started);
    assert!(started > 50, "the kit has {started} checks");
}

fn tcp(product: Product, clock: &Clock) -> Harness {
    let server = Server::start(product, &[]);
    let builder = RedisStore::builder().server(server.address());
    with_hooks(server, builder, clock.clone())
}

/// The checks that damage stored bytes.
const DAMAGE: [&str; 3] = ["g1_damaged_is_not_absent", "g5_damage_stays_as_it_is", "r4_damage_is_removed"];

/// The check that needs a load to read the owner's epoch as well. In a cluster, the epoch may be on another node.
const EPOCH_WITH_RECORD: &str = "l6_the_epoch_with_a_record_is_the_present_one";

/// The checks that make the backend unavailable.
const OUTAGES: [&str; 2] = ["g1_unavailable_is_not_absent", "g5_an_outage_changes_nothing"];

/// A prefix that no other check on these servers uses.
fn own_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("kit-{}:", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn over_cluster(cluster: &Arc<Cluster>) -> Harness {
    let prefix = own_prefix();
    let builder = RedisStore::builder().cluster(cluster.addresses()).prefix(&prefix);
    let damaged = Arc::clone(cluster);
    harness(builder, conformance::manual_clock()).keep(Arc::clone(cluster)).damage(move |id| {
        let key = key(&id).replacen("session:", &prefix, 1);
        let node = damaged.primary_of(slot_of(&damaged.nodes[0], &key));
        damaged.nodes[node].cli(&["SET", &key, "garbage"]);
        async {}
    })
}

/// Adds outages that stop and resume all of these servers.
fn with_outages(harness: Harness, probe: RedisStoreBuilder, servers: impl Fn(bool) + Send + Sync + 'static) -> Harness {
    harness.outage(move |is_down| {
        servers(is_down);
        let probe = probe.clone();
        async move {
            if !is_down {
                let probe = probe.build().expect("good settings");
                while probe.load(&id()).await.is_err() {}
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    })
}

fn set_down(server: &Server, is_down: bool) {
    if is_down {
        server.stop();
    } else {
        server.resume();
    }
}

async fn run_some(names: &[&str], open: impl Fn() -> Harness) {
    for name in names {
        let check = conformance::checks().iter().find(|check| check.name == *name).expect("a check");
        let outcome = check.run(open()).await;
        assert!(outcome.failure.is_none() && outcome.skipped.is_empty(), "{outcome:?}");
    }
}

fn sealed<S: SessionStore>(store: S) -> EncryptedStore<S> {
    let secret: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(37).wrapping_add(1));
    EncryptedStore::new(store, KeyRing::new(Secret::from_bytes(secret).unwrap()))
}

/// A cache small enough that the kit's checks make it evict.
fn cached<S: SessionStore>(store: S, clock: &Clock) -> CachedStore<S> {
    CachedStore::with_config(store, CacheConfig::new().capacity(64).clock(clock.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_passes_the_kit() {
    run(|| tcp(Product::Redis, &conformance::manual_clock()), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_passes_the_kit() {
    run(|| tcp(Product::Valkey, &conformance::manual_clock()), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_passes_the_kit() {
    let open = || {
        let server = Server::start(Product::Valkey, &[]);
        let builder = RedisStore::builder().server(server.socket().display().to_string()).prefix("s*[a-z]\\:");
        harness(builder, conformance::manual_clock()).keep(server)
    };
    // The other tests have the hooks for these.
    let with_hooks = ["g1_damaged_is_not_absent", "g5_damage_stays_as_it_is", "r4_damage_is_removed"];
    run(open, &[&with_hooks[..], &["g1_unavailable_is_not_absent", "g5_an_outage_changes_nothing"]].concat()).await;
}

/// Uses the server's own expiry: sessions end while the kit waits. The server removes what has expired, and does not
/// report how much that was.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_clock_passes_the_kit() {
    let open = || {
        let server = Server::start(Product::Redis, &[]);
        let builder = RedisStore::builder().server(server.address());
        with_hooks(server, builder, Clock::system())
    };
    run(open, &["w1_expired_are_swept"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_store_passes_the_kit() {
    run(|| tcp(Product::Redis, &conformance::manual_clock()).wrap(sealed), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_and_sealed_store_passes_the_kit() {
    let open = || {
        let clock = conformance::manual_clock();
        tcp(Product::Valkey, &clock).wrap(|store| cached(sealed(store), &clock))
    };
    run(open, &[]).await;
}

/// A write that the server has carried out, but not answered, happens once. This is tested at each of its round trips.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost() {
    for product in Product::ALL {
        for check in conformance::checks().iter().filter(|check| check.sentences.contains(&"G6")) {
            let server = Server::start(product, &[]);
            let proxy = Arc::new(Proxy::start(server.port()).await);
            // One connection: with more, requests on another one would be counted, too.
            let builder = RedisStore::builder().server(proxy.address()).connections(1);
            let harness = harness(builder, conformance::manual_clock()).keep(server).lose_answers(move |nth| {
                let lost = proxy.lose_answer(nth);
                async move { lost }
            });
            let outcome = check.run(harness).await;
            assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
            assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
        }
    }
}

/// Like `answers_that_are_lost`, in a cluster, where the requests of one operation go to several nodes.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_cluster_that_are_lost() {
    let cluster = Arc::new(Cluster::start_with(Product::Redis, 3, 0, &[]));
    let proxies = Arc::new(proxied(&cluster).await);
    let addresses = || proxies.iter().map(Proxy::address);
    for check in conformance::checks().iter().filter(|check| check.sentences.contains(&"G6")) {
        let builder = RedisStore::builder().cluster(addresses()).connections(1).prefix(own_prefix());
        // One of the proxies arms all of them.
        let proxies = Arc::clone(&proxies);
        let harness = harness(builder, conformance::manual_clock()).keep(Arc::clone(&cluster));
        let harness = harness.lose_answers(move |nth| {
            let lost = proxies[0].lose_answer(nth);
            async move { lost }
        });
        let outcome = check.run(harness).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
    }
}

/// If the server executes requests twice or in another order, the answers are as if each had happened once. (A removal
/// that is executed again after a create of the same id removes that as well; but no id is used twice.)
#[tokio::test(flavor = "multi_thread")]
async fn requests_executed_twice_and_in_another_order_pass_the_kit() {
    let server = Arc::new(Server::start(Product::Valkey, &[]));
    let habits = Habits { duplicates: Some(Twice::AtOnce), reorders: true, ..Habits::default() };
    let proxy = Arc::new(Unruly::start(server.port(), habits).await);
    let open = || {
        let builder = RedisStore::builder().server(proxy.address()).prefix(own_prefix());
        harness(builder, conformance::manual_clock()).keep(Arc::clone(&server))
    };
    // One of its pairs is a create and a removal of one id.
    let removed_twice = ["g2_two_at_once_are_one_after_the_other"];
    run(open, &[&OUTAGES[..], &DAMAGE, &removed_twice].concat()).await;
    assert!(proxy.counts()[0] > 1_000 && proxy.counts()[1] > 100, "{:?}", proxy.counts());
}

/// Three primaries with one replica each, so that the sessions, the epoch and the list of an owner are on different
/// nodes.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_passes_the_kit() {
    for product in Product::ALL {
        let cluster = Arc::new(Cluster::start(product));
        run(|| over_cluster(&cluster), &[&OUTAGES[..], &[EPOCH_WITH_RECORD]].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_says_so() {
    // A long timeout, so that nodes that are stopped together don't elect others.
    let cluster = Arc::new(Cluster::start_with(Product::Valkey, 3, 1, &["--cluster-node-timeout", "30000"]));
    let open = || {
        let (probe, nodes) = (RedisStore::builder().cluster(cluster.addresses()), Arc::clone(&cluster));
        with_outages(over_cluster(&cluster), probe, move |is_down| {
            nodes.nodes.iter().for_each(|node| set_down(node, is_down));
        })
    };
    run_some(&OUTAGES, open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_and_cached_sessions_on_a_cluster_pass_the_kit() {
    let cluster = Arc::new(Cluster::start(Product::Redis));
    let open = || {
        let prefix = own_prefix();
        let clock = conformance::manual_clock();
        let builder = RedisStore::builder().cluster(cluster.addresses()).prefix(prefix);
        harness(builder, clock.clone()).keep(Arc::clone(&cluster)).wrap(|store| cached(sealed(store), &clock))
    };
    run(open, &[&OUTAGES[..], &DAMAGE, &[EPOCH_WITH_RECORD]].concat()).await;
}

/// With writes that wait for a replica.
#[tokio::test(flavor = "multi_thread")]
async fn the_primary_that_sentinels_name_passes_the_kit() {
    for product in Product::ALL {
        let sentinels = Arc::new(Sentinels::start(product));
        let open = || {
            let prefix = own_prefix();
            let builder = RedisStore::builder().sentinels(sentinels.addresses(), MASTER).prefix(&prefix).replicas(1);
            let damaged = Arc::clone(&sentinels);
            harness(builder, conformance::manual_clock()).keep(Arc::clone(&sentinels)).damage(move |id| {
                let key = key(&id).replacen("session:", &prefix, 1);
                damaged.servers[damaged.master()].cli(&["SET", &key, "garbage"]);
                async {}
            })
        };
        run(open, &OUTAGES).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_connection_passes_the_kit() {
    let certificate = Certificate::new();
    let server = Arc::new(Server::start_tls(&certificate, &[]));
    let tls = RedisTls::with_roots_pem(certificate.pem().as_bytes()).unwrap();
    let open = || {
        let builder = RedisStore::builder().server(server.address()).tls(tls.clone()).prefix(own_prefix());
        harness(builder, conformance::manual_clock()).keep(Arc::clone(&server))
    };
    run(open, &[&OUTAGES[..], &DAMAGE].concat()).await;
}
