//! A store shared by several runtimes, some of them busy, stopped or gone.

use std::{sync::mpsc, time::Duration};

use session_layer::{
    RedisStore, SessionId, SessionStore,
    store::{Leases, RedisStoreBuilder, StoreErrorKind, Update},
};
use tokio::runtime::Builder;

use crate::{
    other_runtimes::{Blocked, begin, elsewhere, runtime},
    server::{Cluster, Product, Server},
    support::*,
};

/// Longer than any limit of a store in these tests, even on a busy machine.
const GENEROUS: Duration = Duration::from_secs(20);

/// A runtime whose only thread has opened the store's connections, and then blocks until this is dropped.
fn blocked(store: &RedisStore, id: SessionId) -> Blocked {
    let store = store.clone();
    Blocked::start(async move || {
        loaded(&store, &id).await;
        begin(store.load(&id)).await;
    })
}

/// A store with a session in it, whose first runtime is gone.
fn stored(builder: RedisStoreBuilder) -> (RedisStore, SessionId) {
    let store = builder.connections(1).request_timeout(Duration::from_secs(5)).build().unwrap();
    let id = id();
    elsewhere(async { created(&store, &id, &numbered(0)).await });
    (store, id)
}

#[test]
fn a_busy_runtime_delays_no_other() {
    let server = Server::start(Product::Redis, &[]);
    let (store, id) = stored(builder(&server));
    let blocked = [blocked(&store, id), blocked(&store, id)];
    let before = store.statistics();
    elsewhere(async {
        for _ in 0..50 {
            assert!(increment(&store, &id).await);
        }
        store.ensure_epoch("alice", usage(&record(b"1"))).await.unwrap();
    });
    let seen = store.statistics();
    assert_eq!((seen.unanswered, seen.not_sent), (before.unanswered, before.not_sent), "no request has failed");
    drop(blocked);
}

/// In a cluster, each runtime has its own connections to each node.
#[test]
fn a_busy_runtime_delays_no_other_in_a_cluster() {
    let cluster = Cluster::start_with(Product::Valkey, 3, 0, &[]);
    let (store, id) = stored(RedisStore::builder().cluster(cluster.addresses()));
    let blocked = [blocked(&store, id), blocked(&store, id)];
    let ids: Vec<_> = (0..20).map(|_| crate::support::id()).collect();
    elsewhere(async {
        for id in &ids {
            created(&store, id, &numbered(0)).await;
            assert!(increment(&store, id).await);
        }
    });
    assert_eq!((store.statistics().unanswered, store.statistics().not_sent), (0, 0), "no request has failed");
    drop(blocked);
}

/// Two runtimes end in the middle of a request: one is dropped, the other is kept but never polled again.
#[test]
fn the_end_of_a_runtime_closes_no_other_runtimes_connections() {
    let server = Server::start(Product::Valkey, &[]);
    let (store, id) = stored(builder(&server));
    let (opener, stopped, mine) = (runtime(), runtime(), runtime());
    for runtime in [&opener, &stopped, &mine] {
        runtime.block_on(loaded(&store, &id));
    }
    for runtime in [&opener, &stopped] {
        runtime.block_on(begin(store.load(&id)));
    }
    drop(opener);
    let made = store.statistics().connections_made;
    mine.block_on(async {
        for _ in 0..20 {
            loaded(&store, &id).await;
        }
    });
    assert_eq!(store.statistics().connections_made, made);
    // The runtime that is not polled has a request with an unknown outcome. `close` waits for it no longer than for
    // others.
    let closed = mine.block_on(async { tokio::time::timeout(GENEROUS, store.close()).await.expect("close ends") });
    assert_eq!(closed.unwrap_err().kind(), StoreErrorKind::Timeout);
    let error = mine.block_on(store.load(&id)).unwrap_err();
    assert!(cause(&error).contains("closed"), "{error:?}");
    drop(stopped);
}

/// A runtime is dropped in the middle of its writes. Each write has happened or has not, and other runtimes are
/// unaffected.
#[test]
fn what_a_runtime_that_is_dropped_has_begun_is_whole() {
    let server = Server::start(Product::Redis, &[]);
    let (store, id) = stored(builder(&server));
    let mine = runtime();
    mine.block_on(loaded(&store, &id));
    for round in 0..50 {
        let held = mine.block_on(loaded(&store, &id));
        let next = numbered(number(&held) + 1);
        let other = runtime();
        other.block_on(async {
            loaded(&store, &id).await;
            begin(store.update(&id, &next, &held.version, usage(&next))).await;
            // Half of the runtimes are dropped before the connection's task has sent anything.
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
        });
        drop(other);
        mine.block_on(async {
            let update = store.update(&id, &next, &held.version, usage(&next)).await.unwrap();
            match update {
                Update::Updated(_) => {}
                Update::Conflict(Some(stored)) => assert_eq!(number(&stored), number(&held) + 1),
                other => panic!("{other:?}"),
            }
            assert_eq!(number(&loaded(&store, &id).await), number(&held) + 1);
        });
    }
    assert_eq!(store.statistics().not_sent, 0);
}

/// Connections of runtimes that have ended are closed, and their places are removed.
#[test]
fn runtimes_that_are_gone_leave_no_connections() {
    let server = Server::start(Product::Redis, &[]);
    let (store, id) = stored(builder(&server));
    for _ in 0..10 {
        elsewhere(loaded(&store, &id));
    }
    // The helpers' own connection uses the socket.
    crate::server::wait_until("all are closed", || !server.cli(&["CLIENT", "LIST"]).text().contains("addr=127.0.0.1"));
}

/// The worker thread that should run the connection's task is blocked. The other requests end within their time limit,
/// and later requests use another connection.
#[test]
fn a_connection_whose_task_does_not_run_is_replaced() {
    let server = Server::start(Product::Redis, &[]);
    let store = builder(&server).connections(1).request_timeout(Duration::from_millis(300)).build().unwrap();
    let id = id();
    elsewhere(async { created(&store, &id, &record(b"1")).await });
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (blocking, blocked) = mpsc::channel();
    runtime.block_on(async {
        let task = tokio::spawn({
            let store = store.clone();
            async move {
                loaded(&store, &id).await;
                // Queues the request, which wakes the connection's task on this worker.
                begin(store.load(&id)).await;
                blocking.send(()).unwrap();
                let _ = released.recv();
            }
        });
        tokio::task::spawn_blocking(move || blocked.recv().unwrap()).await.unwrap();
        let recovers = async {
            loop {
                let loading = tokio::spawn({
                    let store = store.clone();
                    async move { store.load(&id).await }
                });
                match loading.await.unwrap() {
                    Ok(found) => break assert!(found.is_some()),
                    Err(error) => assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error:?}"),
                }
            }
        };
        tokio::time::timeout(GENEROUS, recovers).await.expect("it does not recover");
        release.send(()).unwrap();
        task.await.unwrap();
        loaded(&store, &id).await;
    });
}

/// A handshake never ends, and the limit for connecting is longer than the request's limit.
#[tokio::test]
async fn a_request_that_waits_for_a_connection_ends_in_its_own_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let arrangements = [
        RedisStore::builder().server(&address),
        RedisStore::builder().cluster([&address]),
        RedisStore::builder().sentinels([&address], "sessions"),
    ];
    for builder in arrangements {
        let store = builder
            .connect_timeout(Duration::from_secs(60))
            .request_timeout(Duration::from_millis(100))
            .build()
            .unwrap();
        let (id, first) = (id(), record(b"1"));
        let holder = session_layer::store::Holder::generate().unwrap();
        let calls = async {
            let lock = store.acquire(&id, holder, Duration::from_secs(9)).await.map(drop);
            let create = store.create(&id, &first, usage(&first)).await.map(drop);
            let epoch = store.ensure_epoch("alice", usage(&first)).await.map(drop);
            [lock, create, epoch, store.renew_epoch("alice", usage(&first)).await]
        };
        for error in tokio::time::timeout(GENEROUS, calls).await.unwrap().into_iter().map(Result::unwrap_err) {
            assert_eq!(error.kind(), StoreErrorKind::Timeout, "nothing was sent, so nothing is unknown: {error:?}");
        }
        tokio::time::timeout(GENEROUS, store.flush()).await.expect("flush ends").unwrap();
        tokio::time::timeout(GENEROUS, store.close()).await.expect("close ends").unwrap();
    }
}

/// A request that is reported as failed has no later effect. A request that may have one is reported as unknown.
#[tokio::test]
async fn a_request_not_sent_in_time_is_never_sent() {
    let server = Server::start(Product::Redis, &[]);
    let store = builder(&server).connections(1).queue(4).build().unwrap();
    // Together, these are larger than the sockets' buffers, so some requests are still queued when the limit passes.
    let big = record(&vec![b'x'; 900_000]);
    created(&store, &id(), &record(b"1")).await;
    server.stop();
    let creates: Vec<_> = (0..40)
        .map(|_| {
            let (store, id, big) = (store.clone(), id(), std::sync::Arc::clone(&big));
            tokio::spawn(async move { (id, store.create(&id, &big, usage(&big)).await.unwrap_err().kind()) })
        })
        .collect();
    let (mut unsent, mut unknown) = (Vec::new(), 0);
    for create in creates {
        match create.await.unwrap() {
            (_, StoreErrorKind::OutcomeUnknown) => unknown += 1,
            (id, kind) => {
                assert!([StoreErrorKind::Timeout, StoreErrorKind::Unavailable].contains(&kind), "{kind:?}");
                unsent.push(id);
            }
        }
    }
    assert!(unknown > 0, "they were sent");
    server.resume();
    for id in &unsent {
        let found = async {
            loop {
                match store.load(id).await {
                    Ok(found) => break found,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        assert!(tokio::time::timeout(GENEROUS, found).await.expect("it serves again").is_none());
    }
}
