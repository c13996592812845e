//! After a restart of a server, a version that was read before matches nothing that is written later.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use session_layer::{
    MemcachedStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Epoch, Owner, Record},
    store::{Refresh, Rename, Update, Usage, Version},
};

use crate::{server::Memcached, support::*};

fn cas(version: &Version) -> Vec<u8> {
    version.as_bytes()[..8].to_vec()
}

async fn served_again(store: &MemcachedStore, id: &SessionId) {
    let serves = async { while store.load(id).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), serves).await.expect("it serves again");
}

/// A restarted server counts CAS values from 1 again, so it can give the same value twice for one id.
#[tokio::test]
async fn a_version_from_before_a_restart_is_another() {
    let owner = Owner::new("alice", Epoch::from_u64(5)).unwrap();
    let now = std::time::SystemTime::now();
    for first in [
        record(b"1"),
        Arc::new(Record::plain_tombstone(TokenCheck::from_bytes([7; 16]), now)),
        Arc::new(Record::epoch(owner, now)),
    ] {
        let usage = Usage::keep_for(now, Duration::from_secs(50));
        let mut server = Memcached::start(&[]);
        let store = store([&server]);
        let id = id();
        let create = async || match store.create(&id, &first, usage).await.unwrap() {
            session_layer::store::Create::Created(version) => version,
            session_layer::store::Create::Exists => panic!("it is there"),
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
        assert_eq!(store.update(&id, &first, &before, usage).await.unwrap(), Update::Conflict(None));
        let to = crate::support::id();
        assert_eq!(store.rename(&id, &before, &tombstone(), &to, &first, usage).await.unwrap(), Rename::Conflict(None));
        assert!(matches!(store.refresh(&id, &held).await.unwrap(), Refresh::Changed(_)));
        assert_eq!(loaded(&store, &id).await.version, after);
        assert!(matches!(store.update(&id, &first, &after, usage).await.unwrap(), Update::Updated(_)));
    }
}

/// All processes see the same versions, so a process can name a version that another has read.
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

/// A call is paused after each of its steps. The server is restarted and another login stores an epoch, which gets the
/// CAS value that the call has read. When the call continues, it must not write the epoch that it has read.
#[tokio::test]
async fn a_call_that_spans_a_restart_brings_no_epoch_back() {
    let mut held = 0;
    // Runs each step several times: whether the request or the end of its connection is seen first is a matter of
    // chance.
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
        // The call may fail, or keep the new epoch.
        if let Ok(kept) = call.await {
            assert_eq!(kept, after, "held at wait {step}");
        }
        served_again(&store, &id()).await;
        assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(after), "held at wait {step}");
    }
    assert!(held >= 10, "the read and the write: {held}");
}
