//! Requests dropped at random points leave nothing to others.

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
    Clock, SessionStore,
    store::{Create, Owners, Update, Usage},
};

use crate::{server::Memcached, support::*};

/// Looks like replies, and names its sender.
fn tagged(who: usize, round: usize) -> Vec<u8> {
    let mut bytes = format!("[{who}]VA 5 c1 O1\r\nhello\r\nEN\r\nHD c1 O{round}\r\n").into_bytes();
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
    let servers = Memcached::cluster(2);
    // One connection to each server, so that all requests share it.
    let store = builder(&servers).connections(1).request_timeout(Duration::from_secs(20)).build().unwrap();
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
                    // Never created: it has no effect in either case.
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
    for server in store.statistics() {
        assert_eq!((server.in_flight, server.reconnects, server.errors), (0, 0, 0), "{server:?}");
    }
}

/// Polls a future whenever it is woken, and drops it after this many waits. Returns whether it was dropped unfinished.
async fn drop_at_wait<F: Future>(future: F, wait: usize) -> bool {
    let mut future = pin!(future);
    let mut waits = 0;
    poll_fn(move |context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        waits += 1;
        if waits == wait { Poll::Ready(true) } else { Poll::Pending }
    })
    .await
}

/// A login's request is dropped before its session is on the owner's list. The next update lists it.
#[tokio::test]
async fn a_session_that_was_dropped_before_it_was_listed_is_listed_later() {
    let server = Memcached::start(&[]);
    let store = builder([&server]).connections(1).build().unwrap();
    let mut drops = 0;
    for wait in 1.. {
        let (id, login) = (id(), owned(&format!("owner {wait}"), 1));
        let dropped = drop_at_wait(store.create(&id, &login, usage(&login)), wait).await;
        store.flush().await.unwrap();
        // Dropped while it was being created, so it may exist.
        if let Some(stored) = store.load(&id).await.unwrap() {
            store.update(&id, &login, &stored.version, usage(&login)).await.unwrap();
            let listed = store.list_owner(&format!("owner {wait}")).await.unwrap();
            assert_eq!(listed.len(), 1, "dropped at wait {wait}");
        }
        if !dropped {
            break;
        }
        drops += 1;
    }
    assert!(drops >= 3, "the create, the list that is read, and the one that is written: {drops}");
}

/// A client that disconnects drops its request's touch, at each of its waits.
#[tokio::test]
async fn a_dropped_touch_never_makes_the_expiry_earlier() {
    let server = Memcached::start(&[]);
    let store = builder([&server]).connections(1).build().unwrap();
    let (id, grave) = (id(), tombstone());
    created(&store, &id, &grave).await;
    let before = loaded(&store, &id).await.expires_at;
    for wait in 1.. {
        let sooner = Usage::keep_for(Clock::system().now(), Duration::from_secs(10));
        let dropped = drop_at_wait(store.touch(&id, sooner), wait).await;
        store.flush().await.unwrap();
        let after = loaded(&store, &id).await.expires_at;
        assert!(after >= before, "dropped at wait {wait}: {:?} earlier", before.duration_since(after));
        if !dropped {
            return;
        }
    }
}
