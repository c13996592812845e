//! Servers that are missing, disappear, come back, and are distinguished.

use std::time::Duration;

use session_layer::{MemcachedStore, SessionStore, store::StoreErrorKind};

use crate::{server::Memcached, support::*};

/// A server that is back serves again within two seconds, or within the time that a busy machine needs.
async fn serves_again(store: &MemcachedStore, id: &session_layer::SessionId) {
    let serves = async {
        while store.load(id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), serves).await.expect("the server is back and does not serve");
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_not_fatal() {
    let mut server = Memcached::start(&[]);
    server.kill();
    let store = store([&server]);
    let (id, first) = (id(), record(b"1"));
    for _ in 0..3 {
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(&server.address()) && cause.contains("refused"), "{cause}");
        // Nothing was sent, so the outcome is known.
        let error = store.create(&id, &first, usage(&first)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(store.remove(&id).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    server.restart();
    serves_again(&store, &id).await;
    created(&store, &id, &first).await;
}

/// The sessions of the server that is down are unavailable and don't move; other servers' sessions are unaffected.
#[tokio::test]
async fn one_server_down_makes_only_its_sessions_unavailable() {
    let mut servers = Memcached::cluster(3);
    let store = store(&servers);
    let ids: Vec<_> = (0..3).map(|server| id_on(&store, server)).collect();
    for id in &ids {
        created(&store, id, &record(b"1")).await;
    }
    for down in 0..3 {
        servers[down].kill();
        for (server, id) in ids.iter().enumerate() {
            for _ in 0..5 {
                let loaded = store.load(id).await;
                if server == down {
                    assert_eq!(loaded.unwrap_err().kind(), StoreErrorKind::Unavailable);
                } else {
                    assert!(loaded.unwrap().is_some());
                }
            }
        }
        servers[down].restart();
        serves_again(&store, &ids[down]).await;
        // It came back empty: its session is gone, and not found elsewhere.
        assert!(store.load(&ids[down]).await.unwrap().is_none());
        created(&store, &ids[down], &record(b"1")).await;
    }
    let statistics = store.statistics();
    assert!(statistics.iter().all(|server| server.reconnects > 0 && server.errors >= 5), "{statistics:?}");
}

/// Every request ends in time, those behind the first one at once. A request that was not sent has a known outcome.
#[tokio::test]
async fn a_stalled_server_is_an_error_in_time() {
    let server = Memcached::start(&[]);
    let store = builder([&server]).connections(1).request_timeout(Duration::from_millis(200)).build().unwrap();
    let (id, first) = (id(), record(b"1"));
    let version = created(&store, &id, &first).await;
    server.stall();
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&id).await })
        })
        .collect();
    for request in requests {
        let error = request.await.unwrap().unwrap_err();
        assert!([StoreErrorKind::Timeout, StoreErrorKind::Unavailable].contains(&error.kind()), "{error:?}");
    }
    let outcome = store.update(&id, &record(b"2"), &version, usage(&first)).await;
    assert!(outcome.is_err());
    server.resume();
    serves_again(&store, &id).await;
    assert!(store.load(&id).await.unwrap().is_some());
}

/// A full queue delays requests and loses none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_only_waits() {
    let server = Memcached::start(&[]);
    let store = builder([&server]).connections(1).queue(1).request_timeout(Duration::from_secs(20)).build().unwrap();
    let (id, first) = (id(), record(b"1"));
    created(&store, &id, &first).await;
    let requests: Vec<_> = (0..500)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&id).await })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap().unwrap().is_some());
    }
}

/// Requests under way are answered, then the connections are closed.
#[tokio::test]
async fn close_drains_and_disconnects() {
    let server = Memcached::start(&[]);
    let before = server.stat("curr_connections");
    let store = builder([&server]).request_timeout(Duration::from_secs(10)).build().unwrap();
    let ids: Vec<_> = (0..100).map(|_| id()).collect();
    let mut requests = Vec::new();
    for id in ids.clone() {
        let store = store.clone();
        let first = record(b"1");
        requests.push(tokio::spawn(async move { store.create(&id, &first, usage(&first)).await }));
    }
    tokio::task::yield_now().await;
    let mut answered = 0;
    // Each request was either sent and answered, or refused because the store was closed.
    while store.statistics()[0].requests == 0 {
        tokio::task::yield_now().await;
    }
    let (closed, again) = tokio::join!(store.close(), store.close());
    closed.unwrap();
    again.unwrap();
    for request in requests {
        match request.await.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
    }
    assert_eq!(store.load(&ids[0]).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    let stored = server.stat("curr_items");
    assert_eq!(stored, answered, "what was stored was answered");
    // The server notices after some time.
    for _ in 0..500 {
        if server.stat("curr_connections") <= before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} connections, {before} before", server.stat("curr_connections"));
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // `localhost` is ::1 as well on machines with IPv6; the server listens on 127.0.0.1 only.
    let server = Memcached::start(&[]);
    let store = MemcachedStore::builder().servers([format!("localhost:{}", server.port())]).build().unwrap();
    created(&store, &id(), &record(b"1")).await;
    let store = MemcachedStore::builder().servers(["no-such-host.invalid:11211"]).build().unwrap();
    let error = store.load(&id()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("no-such-host.invalid"));
}

/// A store outlives the runtime that first used it.
#[test]
fn a_runtime_that_ended_is_replaced() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let (id, first) = (id(), record(b"1"));
    for round in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if round == 0 {
                created(&store, &id, &first).await;
            }
            assert!(store.load(&id).await.unwrap().is_some());
        });
    }
}
