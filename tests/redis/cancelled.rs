//! Requests that are dropped at random points leave nothing behind for other requests.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use session_layer::{
    SessionStore,
    store::{Create, Update},
};

use crate::{
    server::{Product, Server},
    support::*,
};

/// A value that looks like replies, and names its sender.
fn tagged(who: usize, round: usize) -> Vec<u8> {
    let mut bytes = format!("[{who}]$5\r\nhello\r\n+OK\r\n:{round}\r\n_\r\n").into_bytes();
    bytes.resize(bytes.len() + (random() % 700) as usize, b'0' + u8::try_from(who % 10).unwrap());
    bytes.extend_from_slice(format!("[{who}]").as_bytes());
    bytes
}

fn is_of(who: usize, value: &[u8]) -> bool {
    let tag = format!("[{who}]").into_bytes();
    value.starts_with(&tag) && value.ends_with(&tag)
}

/// Polls a future a few times, or for a few microseconds, and drops it. Returns whether it was dropped unfinished.
async fn drop_somewhere<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    if random().is_multiple_of(2) {
        let mut left = random() % 4;
        return poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(true);
            }
            left -= 1;
            match future.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
        .await;
    }
    tokio::time::timeout(Duration::from_micros(random() % 400), future).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_dropped_requests_give_nobody_anothers_bytes() {
    const DROPPED: usize = 10_000;
    let server = Server::start(Product::Redis, &[]);
    // One connection, which all requests share.
    let store = builder(&server).connections(1).request_timeout(Duration::from_secs(20)).build().unwrap();
    let (dropped, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut droppers = Vec::new();
    for who in 0..8 {
        let (store, dropped) = (store.clone(), Arc::clone(&dropped));
        droppers.push(tokio::spawn(async move {
            let (id, first) = (id(), record(&tagged(who, 0)));
            let mut version = created(&store, &id, &first).await;
            let mut round = 0;
            while dropped.load(Ordering::Relaxed) < DROPPED {
                round += 1;
                let next = record(&tagged(who, round));
                let unfinished = match random() % 4 {
                    0 => drop_somewhere(store.load(&id)).await,
                    1 => drop_somewhere(store.touch(&id, usage(&next))).await,
                    2 => drop_somewhere(store.update(&id, &next, &version, usage(&next))).await,
                    // This id was never created, so the request has no effect in either case.
                    _ => drop_somewhere(store.remove(&crate::support::id())).await,
                };
                if unfinished {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
                if round % 16 == 0 {
                    let stored = loaded(&store, &id).await;
                    assert!(is_of(who, value(&stored)), "{who} was given another's value");
                    version = stored.version;
                }
            }
            let stored = loaded(&store, &id).await;
            assert!(is_of(who, value(&stored)), "{who} was given another's value");
        }));
    }
    let mut watchers = Vec::new();
    for who in 100..108 {
        let (store, done) = (store.clone(), Arc::clone(&done));
        watchers.push(tokio::spawn(async move {
            let id = id();
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                let held = tagged(who, round);
                let now = record(&held);
                match store.load(&id).await.expect("it answers") {
                    None => {
                        let answer = store.create(&id, &now, usage(&now)).await.expect("it answers");
                        assert!(matches!(answer, Create::Created(_)));
                    }
                    Some(stored) => {
                        assert!(is_of(who, value(&stored)), "{who} was given another's value");
                        let answer = store.update(&id, &now, &stored.version, usage(&now)).await.expect("it answers");
                        assert!(matches!(answer, Update::Updated(_)), "{answer:?}");
                    }
                }
                assert_eq!(value(&loaded(&store, &id).await), held);
                round += 1;
            }
            round
        }));
    }
    for dropper in droppers {
        dropper.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for watcher in watchers {
        assert!(watcher.await.unwrap() > 0);
    }
    assert!(dropped.load(Ordering::Relaxed) >= DROPPED);
    store.flush().await.unwrap();
    let seen = store.statistics();
    assert_eq!(
        (seen.connections_made, seen.connections_lost, seen.unanswered, seen.not_sent),
        (1, 0, 0, 0),
        "{seen:?}"
    );
}
