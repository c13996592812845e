//! Servers that were restarted: what was read before matches nothing that is written after.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use session_layer::{
    Check, Epoch, MemcachedStore, Owner, Record, Refresh, Rename, SessionId, SessionStore, Update, Usage, Version,
};

use crate::{server::Memcached, support::*};

fn cas(version: &Version) -> Vec<u8> {
    version.as_bytes()[..8].to_vec()
}

async fn served_again(store: &MemcachedStore, id: &SessionId) {
    let serves = async { while store.load(id).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), serves).await.expect("it serves again");
}

/// CAS values start again with a server, so the same one can be given twice for one id.
#[tokio::test]
async fn a_version_from_before_a_restart_is_another() {
    let owner = Owner::new("alice", Epoch::from_u64(5)).unwrap();
    let now = std::time::SystemTime::now();
    for first in [
        record(b"1"),
        Arc::new(Record::tombstone(Check::from_bytes([7; 16]), now)),
        Arc::new(Record::epoch(owner, now)),
    ] {
        let usage = Usage::keep_for(now, Duration::from_secs(50));
        let mut server = Memcached::start(&[]);
        let store = store([&server]);
        let id = id();
        let create = async || match store.create(&id, &first, usage).await.unwrap() {
            session_layer::Create::Created(version) => version,
            session_layer::Create::Exists => panic!("it is there"),
        };
        let before = create().await;
        let held = loaded(&store, &id).await;
        server.restart();
        served_again(&store, &id).await;
        assert_eq!(store.update(&id, &first, &before, usage).await.unwrap(), Update::Gone);
        assert!(matches!(store.refresh(&id, &held).await.unwrap(), Refresh::Gone));
        let after = create().await;
        assert_eq!(cas(&before), cas(&after), "the test's premise: the CAS values started again");
        assert_ne!(before, after);
        assert_eq!(store.update(&id, &first, &before, usage).await.unwrap(), Update::Conflict);
        let to = crate::support::id();
        assert_eq!(store.rename(&id, &before, &tombstone(), &to, &first, usage).await.unwrap(), Rename::Conflict);
        assert!(matches!(store.refresh(&id, &held).await.unwrap(), Refresh::Changed(_)));
        assert_eq!(loaded(&store, &id).await.version, after);
        assert!(matches!(store.update(&id, &first, &after, usage).await.unwrap(), Update::Updated(_)));
    }
}

/// Versions are the same for every process, so that one can name what another has read.
#[tokio::test]
async fn all_connections_agree_on_versions() {
    let server = Memcached::start(&[]);
    let (one, two) = (store([&server]), builder([&server]).connections(3).build().unwrap());
    for _ in 0..10 {
        let (id, first) = (id(), record(b"1"));
        let version = created(&one, &id, &first).await;
        assert_eq!(loaded(&two, &id).await.version, version);
        assert!(matches!(two.update(&id, &first, &version, usage(&first)).await.unwrap(), Update::Updated(_)));
    }
}

/// A call is held after each of its steps, the server is restarted, and somebody else logs in before it goes on: the CAS
/// value that it has read is given again. Then it must not write what it has read.
#[tokio::test]
async fn a_call_that_spans_a_restart_brings_no_epoch_back() {
    let mut held = 0;
    // Each step several times: whether the request or the end of its connection is seen first is a matter of chance.
    for round in 5.. {
        let step = round / 5;
        let mut server = Memcached::start(&[]);
        let (store, other) = (store([&server]), store([&server]));
        let first = record(b"1");
        let short = Usage::keep_for(std::time::SystemTime::now(), Duration::from_secs(60));
        let long = Usage::keep_for(std::time::SystemTime::now(), Duration::from_secs(6_000));
        let before = store.ensure_epoch("alice", short).await.unwrap();
        let mut call = pin!(store.ensure_epoch("alice", long));
        let mut waits = 0;
        let ended = poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => {
                waits += 1;
                if waits == step { Poll::Ready(false) } else { Poll::Pending }
            }
        })
        .await;
        if ended {
            break;
        }
        held += 1;
        server.restart();
        let after = other.ensure_epoch("alice", short).await;
        let after = match after {
            Ok(after) => after,
            Err(_) => {
                served_again(&other, &id()).await;
                other.ensure_epoch("alice", usage(&first)).await.unwrap()
            }
        };
        assert_ne!(before, after);
        // It may fail, or keep the new one.
        if let Ok(kept) = call.await {
            assert_eq!(kept, after, "held at wait {step}");
        }
        served_again(&store, &id()).await;
        assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(after), "held at wait {step}");
    }
    assert!(held >= 10, "the read and the write: {held}");
}
