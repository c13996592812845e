//! A cluster: moving slots, failing primaries, nodes that are down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use session_layer::{
    RedisStore, SessionId, SessionStore,
    store::{End, RedisStoreBuilder, StoreErrorKind, Update},
};

use crate::{
    refusals::PERMISSIONS,
    server::{Cluster, Product, slot_of, wait_until},
    support::*,
};

fn builder(cluster: &Cluster) -> RedisStoreBuilder {
    let limit = Duration::from_millis(500);
    // One of the nodes is enough.
    RedisStore::builder().cluster([cluster.nodes[0].address()]).connect_timeout(limit).request_timeout(limit)
}

/// An id whose session is on this node.
fn id_on(cluster: &Cluster, node: usize) -> SessionId {
    std::iter::repeat_with(id).find(|id| cluster.primary_of(slot(cluster, id)) == node).unwrap()
}

fn slot(cluster: &Cluster, id: &SessionId) -> u16 {
    slot_of(&cluster.nodes[0], &key(id))
}

/// Adds one to a session's number. Returns `false` if it is not known whether that was done.
async fn increment(store: &RedisStore, id: &SessionId) -> bool {
    loop {
        let stored = match store.load(id).await {
            Ok(stored) => stored.expect("a session that lives"),
            Err(error) => return excused(&error),
        };
        let number: u64 = std::str::from_utf8(value(&stored)).unwrap().parse().unwrap();
        let next = record((number + 1).to_string().as_bytes());
        match store.update(id, &next, &stored.version, usage(&next)).await {
            Ok(Update::Updated(_)) => return true,
            Ok(Update::Conflict(_)) => {}
            Ok(Update::Gone) => panic!("the session is gone"),
            Err(error) => return excused(&error),
        }
    }
}

/// The errors that a store may return while the cluster changes.
fn excused(error: &session_layer::store::StoreError) -> bool {
    use StoreErrorKind::{NotReplicated, OutcomeUnknown, Timeout, Unavailable};
    let kinds = [Unavailable, Timeout, OutcomeUnknown, NotReplicated];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    false
}

/// The refusal to load a session. A busy machine may not answer in time at first.
async fn refusal(store: &RedisStore, id: &SessionId) -> session_layer::store::StoreError {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let error = store.load(id).await.expect_err("it is refused");
        if error.kind() == StoreErrorKind::Unavailable {
            return error;
        }
        assert!(error.kind() == StoreErrorKind::Timeout && Instant::now() < limit, "{error:?}");
    }
}

async fn number(store: &RedisStore, id: &SessionId) -> u64 {
    std::str::from_utf8(value(&loaded(store, id).await)).unwrap().parse().unwrap()
}

/// Increments a session until it is stopped, and counts acknowledged increments and those with an unknown outcome.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    unknown: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(store: &RedisStore, id: SessionId) -> Self {
        let (stop, done, unknown) = (Arc::default(), Arc::default(), Arc::default());
        let task = tokio::spawn({
            let (store, stop): (_, Arc<AtomicBool>) = (store.clone(), Arc::clone(&stop));
            let (done, unknown): (Arc<AtomicU64>, Arc<AtomicU64>) = (Arc::clone(&done), Arc::clone(&unknown));
            async move {
                while !stop.load(Ordering::SeqCst) {
                    if increment(&store, &id).await {
                        done.fetch_add(1, Ordering::SeqCst);
                    } else {
                        unknown.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        Self { stop, done, unknown, task }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    async fn more(&self, count: u64) {
        let (limit, until) = (Instant::now() + Duration::from_secs(60), self.done() + count);
        while self.done() < until {
            assert!(Instant::now() < limit, "no request succeeds");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns how many increments were acknowledged, and how many more may have happened.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        (self.done.load(Ordering::SeqCst), self.unknown.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_loses_no_update() {
    for product in Product::ALL {
        let cluster = Arc::new(Cluster::start_with(product, 3, 0, &[]));
        let (store, id) = (builder(&cluster).build().unwrap(), id_on(&cluster, 0));
        created(&store, &id, &record(b"0")).await;
        let load = Load::start(&store, id);
        load.more(20).await;
        // There, back, and there again.
        for to in [1, 2, 0, 1] {
            let (cluster, slot) = (Arc::clone(&cluster), slot(&cluster, &id));
            tokio::task::spawn_blocking(move || cluster.migrate(slot, to, |_| {})).await.unwrap();
            load.more(20).await;
        }
        assert!(store.statistics().redirected > 0, "{:?}", store.statistics());
        let (done, unknown) = load.stop().await;
        let number = number(&store, &id).await;
        assert!((done..=done + unknown).contains(&number), "{product:?}: {number} of {done} and {unknown}");
    }
}

/// A session whose keys have all moved is found at the target by `ASK`. If some of its keys are still at the source,
/// its requests wait, and the store reports after their time limit that the cluster is changing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_half_moved_is_followed() {
    for product in Product::ALL {
        let cluster = Cluster::start_with(product, 3, 0, &[]);
        let (store, id) = (builder(&cluster).build().unwrap(), id_on(&cluster, 0));
        // After the first clear, each partition has a generation along with its sessions.
        store.clearing().unwrap().clear().await.unwrap();
        let version = created(&store, &id, &record(b"1")).await;
        let slot = slot(&cluster, &id).to_string();
        let node_id = |index: usize| cluster.nodes[index].cli(&["CLUSTER", "MYID"]).text();
        cluster.nodes[1].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &node_id(0)]);
        cluster.nodes[0].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &node_id(1)]);
        assert_eq!(loaded(&store, &id).await.version, version, "nothing is moved yet");

        let move_key = |key: &str| {
            let port = cluster.nodes[1].port().to_string();
            assert_eq!(cluster.nodes[0].cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "10000"]).text(), "OK");
        };
        move_key(&key(&id));
        let error = refusal(&store, &id).await;
        assert!(cause(&error).contains("the cluster is changing"), "{error:?}");

        let generation = format!("{}generation", key(&id).split_inclusive(':').take(2).collect::<String>());
        move_key(&generation);
        let before = store.statistics().redirected;
        assert_eq!(loaded(&store, &id).await.version, version);
        let next = record(b"2");
        let Update::Updated(version) = store.update(&id, &next, &version, usage(&next)).await.unwrap() else {
            panic!()
        };
        assert!(store.statistics().redirected >= before + 2, "each request asks the source first");
        for node in [1, 0, 2] {
            cluster.nodes[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &node_id(1)]);
        }
        assert_eq!(store.end(&id, &version, SystemTime::now()).await.unwrap(), End::Ended, "{product:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_fails_is_replaced_by_its_replica() {
    for product in Product::ALL {
        let mut cluster = Cluster::start(product);
        let store = builder(&cluster).replicas(1).build().unwrap();
        let ids = [id_on(&cluster, 0), id_on(&cluster, 1)];
        for id in &ids {
            created(&store, id, &record(b"0")).await;
        }
        let loads = ids.map(|id| Load::start(&store, id));
        loads[0].more(10).await;

        // A manual failover, which both sides agree on.
        let replica = &cluster.nodes[3];
        replica.cli(&["CLUSTER", "FAILOVER"]);
        wait_until("the replica is a primary", || replica.info("role") == "master");
        loads[0].more(10).await;
        wait_until("the old primary is in sync", || cluster.nodes[0].info("master_link_status") == "up");

        // Killed.
        cluster.nodes[3].kill();
        wait_until("the old primary is one again", || cluster.nodes[0].info("role") == "master");
        cluster.nodes[3].restart();
        wait_until("the killed one is in sync", || cluster.nodes[3].info("master_link_status") == "up");
        loads[0].more(10).await;

        // Stopped: it keeps its connections open, and answers nothing.
        cluster.nodes[0].stop();
        wait_until("the replica is a primary again", || cluster.nodes[3].info("role") == "master");
        cluster.nodes[0].resume();
        wait_until("the stopped one is a replica", || cluster.nodes[0].info("master_link_status") == "up");
        loads[0].more(10).await;
        loads[1].more(10).await;

        for (load, id) in loads.into_iter().zip(&ids) {
            let (done, unknown) = load.stop().await;
            let number = number(&store, id).await;
            assert!((done..=done + unknown).contains(&number), "{product:?}: {number} of {done} and {unknown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lacks_a_part_says_so_and_serves_again() {
    let mut cluster = Cluster::start(Product::Redis);
    let store = builder(&cluster).build().unwrap();
    let (lost, other) = (id_on(&cluster, 0), id_on(&cluster, 1));
    for id in [&lost, &other] {
        created(&store, id, &record(b"1")).await;
    }
    cluster.nodes[0].kill();
    cluster.nodes[3].kill();
    let error = store.load(&lost).await.unwrap_err();
    assert!([StoreErrorKind::Unavailable, StoreErrorKind::Timeout].contains(&error.kind()), "{error:?}");
    wait_until("the others notice", || {
        cluster.nodes[1].cli(&["CLUSTER", "INFO"]).text().contains("cluster_state:fail")
    });
    // By default, a cluster that lacks slots answers for none.
    let error = refusal(&store, &other).await;
    assert!(cause(&error).contains("the cluster is changing, or a part of it is down"), "{error:?}");
    cluster.nodes[0].restart();
    cluster.nodes[3].restart();
    cluster.wait_until_healthy();
    assert_eq!(value(&loaded(&store, &other).await), b"1");
    let limit = Instant::now() + Duration::from_secs(20);
    while store.load(&lost).await.is_err() {
        assert!(Instant::now() < limit, "the node that is back is not found");
    }
}

/// A write that a node has carried out, but not answered, is reported as such, and is not sent again without the
/// store's knowledge.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_told() {
    let cluster = Cluster::start_with(Product::Valkey, 3, 0, &[]);
    let proxies = proxied(&cluster).await;
    let id = std::iter::repeat_with(id).find(|id| slot(&cluster, id) > 11_000).unwrap();
    let (node, proxy) = (&cluster.nodes[2], &proxies[2]);
    let store = builder(&cluster).connections(1).build().unwrap();
    let version = created(&store, &id, &record(b"1")).await;
    loaded(&store, &id).await;
    let next = record(b"2");
    let mut monitor = node.monitor();
    proxy.lose_answer(Some(0));
    let Update::Updated(version) = store.update(&id, &next, &version, usage(&next)).await.unwrap() else { panic!() };
    assert!(proxy.lose_answer(None), "an answer was lost");
    assert_eq!(loaded(&store, &id).await.version, version);
    assert!(!monitor.commands().is_empty());
    assert!(store.statistics().unanswered > 0, "{:?}", store.statistics());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_all_primaries_are_listed_counted_and_cleared() {
    for product in Product::ALL {
        let cluster = Cluster::start(product);
        let store = RedisStore::from_cluster(
            cluster.addresses().iter().map(|address| redis::Client::open(format!("redis://{address}/")).unwrap()),
        )
        .unwrap();
        for _ in 0..200 {
            created(&store, &id(), &record(b"1")).await;
        }
        let mut monitors: Vec<_> = cluster.nodes.iter().map(|node| node.monitor()).collect();
        let listing = store.listing().unwrap();
        assert_eq!(listing.count().await.unwrap(), 200);
        let scanned: Vec<_> = monitors
            .iter_mut()
            .map(|monitor| monitor.commands().iter().any(|command| command.starts_with("SCAN")))
            .collect();
        assert_eq!(scanned, [true, true, true, false, false, false], "the primaries only");
        assert_eq!(store.clearing().unwrap().clear().await.unwrap(), 200);
        assert_eq!(listing.count().await.unwrap(), 0, "{product:?}");
    }
}

/// Source: the permissions that the store's documentation lists for a cluster, besides those for a single server.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_documented_permissions_can_do_everything_on_a_cluster() {
    for product in Product::ALL {
        let cluster = Cluster::start(product);
        for node in &cluster.nodes {
            let more = ["+cluster|slots", "+asking", "+wait"];
            node.cli(&[&["ACL", "SETUSER", "app", "on", ">hunter2"][..], &PERMISSIONS, &more].concat());
        }
        let store = builder(&cluster).credentials("app", "hunter2").replicas(1).connect().await.unwrap();
        let id = id();
        let version = created(&store, &id, &owned("ada", 1)).await;
        let next = owned("ada", 1);
        assert!(matches!(store.update(&id, &next, &version, usage(&next)).await.unwrap(), Update::Updated(_)));
        store.ensure_epoch("ada", usage(&next)).await.unwrap();
        assert_eq!(store.owners().unwrap().list_owner("ada").await.unwrap().len(), 1);
        assert_eq!(store.listing().unwrap().count().await.unwrap(), 1);
        assert_eq!(store.clearing().unwrap().clear().await.unwrap(), 1);
        assert_eq!(store.statistics().refused, store.statistics().scripts_sent, "{product:?}: only unknown scripts");
    }
}
