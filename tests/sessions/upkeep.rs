//! Listing, sweeping and flushing the store.

use std::{collections::BTreeSet, time::Duration};

use session_layer::{
    ErrorKind, SessionId, Sessions,
    conformance::{
        Operation,
        fault::{Bare, Fault},
    },
    store::SessionStatus,
};

use crate::support::Site;

#[tokio::test]
async fn ids_are_paged_and_each_appears_once() {
    let site = Site::new();
    let mut all = BTreeSet::new();
    for number in 0..600 {
        all.insert(site.member(&format!("owner {number}")).await);
    }
    let (mut ids, mut seen) = (site.sessions.ids(), BTreeSet::new());
    site.store.forget();
    // A failed page is requested again, and nothing is left out.
    site.store.inject(Fault::unavailable().on(Operation::Ids).nth(2));
    let mut failures = 0;
    loop {
        match ids.next().await {
            Ok(Some(id)) => assert!(seen.insert(id), "{id} came twice"),
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                failures += 1;
            }
        }
    }
    assert_eq!((seen, failures), (all, 1));
    assert!(site.store.calls(Operation::Ids) > 2);
    assert_eq!(ids.next().await.unwrap(), None, "the end stays the end");
    assert_eq!(site.sessions.count().await.unwrap(), 600);
    assert_eq!(site.sessions.end_all().await.unwrap(), 600);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
    assert_eq!(site.sessions.ids().next().await.unwrap(), None);
}

/// Sessions of all owners and of anonymous visitors. A save under way doesn't bring one back.
#[tokio::test]
async fn clear_ends_every_session() {
    let site = Site::new();
    let ids = [site.member("ada").await, site.member("bob").await];
    let nobody = site.layer.new_session();
    nobody.insert("n", 1).unwrap();
    nobody.save().await.unwrap();
    let late = site.layer.open_session(ids[0]).await.unwrap().unwrap();
    late.insert("n", 2).unwrap();
    assert_eq!(site.sessions.end_all().await.unwrap(), 3);
    assert_eq!(late.save().await.unwrap_err().kind(), ErrorKind::Gone);
    for id in [ids[0], ids[1], nobody.id().unwrap()] {
        assert!(!site.sessions.contains(&id).await.unwrap());
    }
}

#[tokio::test]
async fn sweeps_remove_expired_and_idle_sessions_and_are_reported() {
    let site = Site::new();
    let old = site.member("ada").await;
    site.clock.advance(Duration::from_secs(3_000));
    let new = site.member("ada").await;
    assert_eq!(site.sessions.status(&old).await.unwrap(), Some(SessionStatus::Active));
    let lease = site.sessions.lease(&new, Duration::from_secs(10)).await.unwrap().unwrap();
    assert_eq!(site.sessions.status(&new).await.unwrap(), Some(SessionStatus::Leased));
    assert!(lease.release().await.unwrap());
    let swept = site.sessions.delete_idle(Duration::from_secs(2_000)).await.unwrap();
    assert_eq!((swept.deleted, swept.remaining), (1, 1));
    assert!(!site.sessions.contains(&old).await.unwrap());
    site.clock.advance(Duration::from_secs(3_600));
    assert!(!site.sessions.contains(&new).await.unwrap());
    assert_eq!(site.sessions.sweep().await.unwrap().remaining, 0);
    site.sessions.flush().await.unwrap();
    site.sessions.close().await.unwrap();
    site.sessions.close().await.unwrap();
}

/// The error has the kind `Unsupported` and names the operation.
#[tokio::test]
async fn an_unsupported_operation_is_an_error_that_names_it() {
    let sessions = Sessions::new(Bare(session_layer::MemoryStore::new()));
    let id = SessionId::for_epoch("x");
    let second = Duration::from_secs(1);
    let errors = [
        sessions.ids().next().await.map(drop).unwrap_err(),
        sessions.count().await.map(drop).unwrap_err(),
        sessions.end_all().await.map(drop).unwrap_err(),
        sessions.sweep().await.map(drop).unwrap_err(),
        sessions.delete_idle(second).await.map(drop).unwrap_err(),
        sessions.release(&id, session_layer::store::Holder::from_u128(1)).await.map(drop).unwrap_err(),
        sessions.of_owner("ada").await.map(drop).unwrap_err(),
        sessions.make_room_for("ada", 3, session_layer::AtLimit::Refuse).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error} names no operation");
    }
    // Operations on the five required methods work.
    sessions.flush().await.unwrap();
    assert_eq!(sessions.revoke_all("ada").await.unwrap(), 0);
}
