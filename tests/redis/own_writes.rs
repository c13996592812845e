//! Client-side caching of what this process has written itself.

use std::time::{Duration, SystemTime};

use session_layer::{
    CachedStore, RedisStore, SessionId, SessionStore,
    store::{Rename, Touch, Tracked, Update, Usage, Version},
};

use crate::{
    server::{Cluster, Product, Server},
    support::*,
    tracking::{LONG, patient, requests, sealed, tracking, until},
};

#[tokio::test]
async fn what_this_process_writes_is_served_without_a_request() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        served_without_a_request(&tracking(&server), &store(&server)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_process_writes_to_a_cluster_is_served_without_a_request() {
    for product in Product::ALL {
        let cluster = Cluster::start(product);
        let nodes = || patient(RedisStore::builder().cluster(cluster.addresses()));
        served_without_a_request(&nodes().tracking(LONG).build().unwrap(), &nodes().build().unwrap()).await;
    }
}

async fn served_without_a_request(ours: &RedisStore, other: &RedisStore) {
    let cached = CachedStore::new(sealed(ours.clone()));
    for _ in 0..20 {
        let (from, to) = (id(), id());
        let sessions = [record(b"1"), record(b"2"), record(b"3")];
        cached.create(&from, &sessions[0], usage(&sessions[0])).await.unwrap();
        let first = served(&cached, ours, &from, b"1").await;
        let updated = cached.update(&from, &sessions[1], &first, usage(&sessions[1])).await.unwrap();
        assert!(matches!(updated, Update::Updated(_)), "{updated:?}");
        let second = served(&cached, ours, &from, b"2").await;
        let renamed =
            cached.rename(&from, &second, &tombstone(), &to, &sessions[2], usage(&sessions[2])).await.unwrap();
        assert!(matches!(renamed, Rename::Renamed(_)), "{renamed:?}");
        served(&cached, ours, &to, b"3").await;

        assert!(other.remove(&to).await.unwrap());
        until("the end", async || cached.load(&to).await.unwrap().is_none()).await;
    }
}

/// Loads without a request, and returns the version.
async fn served(cached: &impl SessionStore, store: &RedisStore, id: &SessionId, expected: &[u8]) -> Version {
    let mut version = None;
    let load = async {
        let stored = cached.load(id).await.unwrap().unwrap();
        assert_eq!(value(&stored), expected);
        version = Some(stored.version);
    };
    assert_eq!(requests(store, load).await, 0, "{}", String::from_utf8_lossy(expected));
    version.unwrap()
}

#[tokio::test]
async fn what_is_touched_between_a_write_and_its_reading_back_is_not_current() {
    let server = Server::start(Product::Redis, &[]);
    let (ours, other) = (tracking(&server), store(&server));
    for round in 1..200 {
        let id = stored(&ours).await;
        let version = loaded(&ours, &id).await.version;
        let next = record(b"2");
        let touched = Usage::keep_for(seconds_from_now(round), Duration::from_secs(3_600));
        let (updated, touch) = tokio::join!(ours.update(&id, &next, &version, usage(&next)), other.touch(&id, touched));
        assert_eq!(touch.unwrap(), Touch::Touched);
        let Update::Updated(version) = updated.unwrap() else { panic!() };
        let there = loaded(&other, &id).await;
        if let Some(tracked) = ours.tracked(&id, &version)
            && there.used_at == millis(touched.used_at)
        {
            until("the touch", async || !tracked.is_current()).await;
        }
    }
}

/// As a store keeps times.
fn millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap())
}

#[tokio::test]
async fn only_the_latest_own_write_is_current() {
    let server = Server::start(Product::Redis, &[]);
    let ours = tracking(&server);
    let id = stored(&ours).await;
    let mut version = loaded(&ours, &id).await.version;
    let mut before = None;
    for round in 0..300_u32 {
        let next = record(round.to_string().as_bytes());
        let Update::Updated(new) = ours.update(&id, &next, &version, usage(&next)).await.unwrap() else { panic!() };
        let tracked = ours.tracked(&id, &new).expect("the version that was just written");
        assert!(tracked.is_current());
        assert!(ours.tracked(&id, &version).is_none(), "another version");
        assert!(before.replace(tracked.clone()).is_none_or(|before: Tracked| !before.is_current()));
        version = new;
        if round % 3 == 0 {
            let used_at = seconds_from_now(round + 1);
            assert_eq!(
                ours.touch(&id, Usage::keep_for(used_at, Duration::from_secs(3_600))).await.unwrap(),
                Touch::Touched
            );
            assert!(!tracked.is_current(), "touched");
        }
    }
}

fn seconds_from_now(seconds: u32) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds.into())
}

/// The connections that wait for replicas track nothing.
#[tokio::test]
async fn a_write_that_waits_for_replicas_is_validated() {
    let server = Server::start(Product::Redis, &[]);
    let replica = Server::start(Product::Redis, &["--replicaof", "127.0.0.1", &server.port().to_string()]);
    until("the replica is connected", async || replica.cli(&["INFO", "replication"]).text().contains("link_status:up"))
        .await;
    let ours = patient(builder(&server)).tracking(LONG).replicas(1).build().unwrap();
    let cached = CachedStore::new(ours.clone());
    let (id, session) = (id(), record(b"1"));
    cached.create(&id, &session, usage(&session)).await.unwrap();
    assert_eq!(requests(&ours, cached.load(&id)).await, 1);
    assert_eq!(requests(&ours, cached.load(&id)).await, 0);
}

/// Two caches and a store without one change the same sessions at once, on several connections each. Afterwards each cache
/// serves what is stored.
#[tokio::test(flavor = "multi_thread")]
async fn after_writes_from_all_sides_a_cache_serves_what_is_stored() {
    const SESSIONS: usize = 12;
    const ROUNDS: usize = 150;
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let plain = store(&server);
        let caches = [(); 2].map(|()| {
            let store = patient(builder(&server)).connections(3).tracking(LONG).build().unwrap();
            CachedStore::new(store)
        });
        let mut ids = Vec::new();
        for _ in 0..SESSIONS {
            ids.push(stored(&plain).await);
        }
        let mut tasks = Vec::new();
        for task in 0..8_usize {
            let (ids, plain, cache) = (ids.clone(), plain.clone(), caches[task % 2].clone());
            tasks.push(tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let id = &ids[(task * 5 + round * 7) % SESSIONS];
                    match (task * 3 + round) % 8 {
                        0 | 1 => change(&plain, id, task, round).await,
                        2 => {
                            let usage = Usage::keep_for(SystemTime::now(), Duration::from_secs(3_600));
                            cache.touch(id, usage).await.unwrap();
                        }
                        3 => drop(cache.load(id).await.unwrap()),
                        _ => change(&cache, id, task, round).await,
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for id in &ids {
            let there = loaded(&plain, id).await;
            for cache in &caches {
                until("what is stored", async || {
                    let served = cache.load(id).await.unwrap().unwrap();
                    served.version == there.version && value(&served) == value(&there)
                })
                .await;
            }
        }
    }
}

async fn change(store: &impl SessionStore, id: &SessionId, task: usize, round: usize) {
    let held = store.load(id).await.unwrap().expect("it is never removed");
    let next = record(format!("{task} {round}").as_bytes());
    // Another task may have been first.
    assert_ne!(store.update(id, &next, &held.version, usage(&next)).await.unwrap(), Update::Gone);
}
