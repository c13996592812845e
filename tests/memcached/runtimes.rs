//! A store that is shared by several runtimes, some of them busy, stopped or gone.

use std::{
    future::poll_fn,
    pin::pin,
    sync::mpsc,
    task::Poll,
    time::{Duration, Instant},
};

use session_layer::{
    MemcachedStore, SessionId, SessionStore,
    store::{Leases, StoreErrorKind},
};
use tokio::runtime::Builder;

use crate::{
    other_runtimes::{Blocked, begin, elsewhere, runtime},
    server::Memcached,
    support::*,
};

/// Longer than any limit of a store in these tests, even on a busy machine.
const GENEROUS: Duration = Duration::from_secs(20);

/// A runtime whose only thread has opened the store's connections, and then blocks until this is dropped.
fn blocked(store: &MemcachedStore, id: SessionId) -> Blocked {
    let store = store.clone();
    Blocked::start(async move || {
        assert!(store.load(&id).await.unwrap().is_some());
    })
}

fn stored(
    settings: impl FnOnce(session_layer::store::MemcachedStoreBuilder) -> session_layer::store::MemcachedStoreBuilder,
) -> (Memcached, MemcachedStore, SessionId) {
    let server = Memcached::start(&[]);
    let store = settings(builder([&server]).request_timeout(Duration::from_secs(5))).build().unwrap();
    let (id, first) = (id(), record(b"1"));
    // The first runtime is gone from here on.
    elsewhere(async { created(&store, &id, &first).await });
    (server, store, id)
}

#[test]
fn a_busy_runtime_delays_no_other() {
    let (_server, store, id) = stored(|builder| builder.connections(1));
    let blocked = [blocked(&store, id), blocked(&store, id)];
    elsewhere(async {
        for n in 0..50_u8 {
            let held = loaded(&store, &id).await;
            let next = record(&[n]);
            assert!(matches!(
                store.update(&id, &next, &held.version, usage(&next)).await.unwrap(),
                session_layer::store::Update::Updated(_)
            ));
        }
        store.ensure_epoch("alice", usage(&record(b"1"))).await.unwrap();
    });
    drop(blocked);
}

/// Runtimes that end in the middle of a request: one is dropped, the other is kept but never polled again.
#[test]
fn the_end_of_a_runtime_closes_no_other_runtimes_connections() {
    let (_server, store, id) = stored(|builder| builder.connections(1));
    let (opener, stopped, mine) = (runtime(), runtime(), runtime());
    for runtime in [&opener, &stopped, &mine] {
        runtime.block_on(async { assert!(store.load(&id).await.unwrap().is_some()) });
    }
    for runtime in [&opener, &stopped] {
        runtime.block_on(async {
            begin(store.load(&id)).await;
        });
    }
    drop(opener);
    let reconnects = store.statistics()[0].reconnects;
    mine.block_on(async {
        for _ in 0..20 {
            assert!(store.load(&id).await.unwrap().is_some());
        }
        assert_eq!(store.statistics()[0].reconnects, reconnects);
    });
    // On a runtime that is not polled, `close` has nothing to wait for.
    let start = Instant::now();
    mine.block_on(async { store.close().await.unwrap() });
    assert!(start.elapsed() < GENEROUS);
    drop(stopped);
    assert_eq!(store.statistics()[0].connected, 0);
}

#[test]
fn connections_of_runtimes_that_are_gone_are_not_counted() {
    let (_server, store, id) = stored(|builder| builder.connections(2));
    for _ in 0..10 {
        elsewhere(async { assert!(store.load(&id).await.unwrap().is_some()) });
        assert_eq!(store.statistics()[0].connected, 0);
    }
}

/// The worker that should run the connection's task runs something else. The other requests end in time, and later
/// requests use another connection.
#[test]
fn a_connection_whose_task_does_not_run_is_replaced() {
    let limit = Duration::from_millis(300);
    let (_server, store, id) = stored(|builder| builder.connections(1).request_timeout(limit));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (blocking, blocked) = mpsc::channel();
    runtime.block_on(async {
        let task = tokio::spawn({
            let store = store.clone();
            async move {
                assert!(store.load(&id).await.unwrap().is_some());
                let mut request = pin!(store.load(&id));
                // Queues the request, which wakes the connection's task on this worker.
                poll_fn(|context| Poll::Ready(request.as_mut().poll(context).is_pending())).await;
                blocking.send(()).unwrap();
                let _ = released.recv();
            }
        });
        tokio::task::spawn_blocking(move || blocked.recv().unwrap()).await.unwrap();
        let recovers = async {
            loop {
                let start = Instant::now();
                let loaded = tokio::spawn({
                    let store = store.clone();
                    async move { store.load(&id).await }
                });
                match loaded.await.unwrap() {
                    Ok(found) => break assert!(found.is_some()),
                    Err(error) => assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error:?}"),
                }
                assert!(start.elapsed() < GENEROUS);
            }
        };
        tokio::time::timeout(GENEROUS, recovers).await.expect("it does not recover");
        release.send(()).unwrap();
        task.await.unwrap();
        assert!(store.load(&id).await.unwrap().is_some());
    });
}

/// A handshake that never ends, with a connect limit that is longer than the request's limit.
#[tokio::test]
async fn a_request_that_waits_for_a_connection_ends_in_its_own_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = MemcachedStore::builder()
        .servers([silent.local_addr().unwrap().to_string()])
        .connect_timeout(Duration::from_secs(60))
        .request_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let (id, first) = (id(), record(b"1"));
    let holder = session_layer::store::Holder::generate().unwrap();
    let calls = async {
        let lock = store.acquire(&id, holder, Duration::MAX).await.map(drop);
        let create = store.create(&id, &first, usage(&first)).await.map(drop);
        let epoch = store.ensure_epoch("alice", usage(&first)).await.map(drop);
        [lock, create, epoch, store.renew_epoch("alice", usage(&first)).await, store.flush().await]
    };
    for error in tokio::time::timeout(GENEROUS, calls).await.unwrap().into_iter().filter_map(Result::err) {
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "nothing was sent, so nothing is unknown: {error:?}");
    }
    tokio::time::timeout(GENEROUS, store.close()).await.expect("close ends").unwrap();
}

/// A request that was reported as failed has no later effect. A request that may have one is reported as unknown.
#[tokio::test]
async fn a_request_not_sent_in_time_is_never_sent() {
    let server = Memcached::start(&["-m", "256"]);
    let store = builder([&server]).connections(1).build().unwrap();
    // Together larger than the sockets' buffers, so that some requests are still queued at the limit.
    let big = record(&vec![b'x'; 900_000]);
    created(&store, &id(), &record(b"1")).await;
    server.stall();
    let creates: Vec<_> = (0..40)
        .map(|_| {
            let (store, id, big) = (store.clone(), id(), std::sync::Arc::clone(&big));
            tokio::spawn(async move { (id, store.create(&id, &big, usage(&big)).await.unwrap_err().kind()) })
        })
        .collect();
    let mut unsent = Vec::new();
    for create in creates {
        let (id, kind) = create.await.unwrap();
        if kind != StoreErrorKind::OutcomeUnknown {
            assert!([StoreErrorKind::Timeout, StoreErrorKind::Unavailable].contains(&kind), "{kind:?}");
            unsent.push(id);
        }
    }
    assert!(!unsent.is_empty(), "everything was sent");
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
