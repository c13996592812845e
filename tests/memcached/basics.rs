//! One server that does what it should.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_layer::{
    Clock, Create, ErrorKind, Holder, Lifetime, ListPolicy, Lock, Record, RecordKind, Refresh, Rename, SessionId,
    SessionStatus, SessionStore, StoreErrorKind, Touch, Update, Usage, record::TOMBSTONE_LIFETIME,
};
use std::sync::Arc;

use crate::{server::Memcached, support::*};

#[tokio::test]
async fn a_record_makes_its_round() {
    let server = Memcached::start(&[]);
    let store = store([&server]);
    let (id, first) = (id(), record(b"1"));
    assert!(store.load(&id).await.unwrap().is_none());
    let version = created(&store, &id, &first).await;
    assert_eq!(store.create(&id, &record(b"2"), usage(&first)).await.unwrap(), Create::Exists);
    let stored = loaded(&store, &id).await;
    assert_eq!((&*stored.record, stored.version), (&*first, version));
    let second = record(b"2");
    let Update::Updated(newer) = store.update(&id, &second, &version, usage(&second)).await.unwrap() else { panic!() };
    assert_eq!(store.update(&id, &first, &version, usage(&first)).await.unwrap(), Update::Conflict);
    assert_eq!(loaded(&store, &id).await.version, newer);
    assert_eq!(store.touch(&id, usage(&second)).await.unwrap(), Touch::Touched);
    let stored = loaded(&store, &id).await;
    assert_eq!((&*stored.record, stored.version), (&*second, newer));
    assert!(store.remove(&id).await.unwrap());
    assert!(!store.remove(&id).await.unwrap());
    assert_eq!(store.update(&id, &first, &newer, usage(&first)).await.unwrap(), Update::Gone);
    assert_eq!(store.touch(&id, usage(&first)).await.unwrap(), Touch::Gone);
    store.close().await.unwrap();
    store.close().await.unwrap();
    let error = store.load(&id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}
