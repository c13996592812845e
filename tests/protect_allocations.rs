//! The exact number of allocations of a load through the wrappers.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "the parts of a test")]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use session_layer::{
    CachedStore, EncryptedStore, KeyRing, Lifetime, MemoryStore, SessionId, SessionStore,
    id::TokenCheck,
    record::{Entries, Epoch, Owner, Record},
    store::{CacheConfig, Usage},
};

#[path = "protect/remote.rs"]
mod remote;

use remote::Remote;

const SECRET: &str = "NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=";

/// The benchmark's session: about 0.7 KB.
fn reference() -> Record {
    let user = br#"{"id":4711,"name":"Ada Lovelace","email":"ada@example.org","roles":["admin","editor","reader"]}"#;
    let item = r#"{"sku":"A-10000","title":"a thing","count":1,"price":1999}"#;
    let cart = format!("[{}]", [item; 10].join(","));
    let pairs = [("cart", cart.as_bytes()), ("csrf", &[b'c'; 34][..]), ("n", &b"42"[..]), ("user", &user[..])];
    let entries = Entries::from_sorted(pairs.into_iter()).unwrap();
    Record::session(TokenCheck::from_bytes([1; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries)
}

/// Nothing here waits, so one poll completes the call.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn allocations_of_a_load(store: &impl SessionStore, record: Record) -> u64 {
    let (id, record) = (SessionId::for_epoch("x"), Arc::new(record));
    now(store.create(&id, &record, Usage::at(&record, SystemTime::now()))).unwrap();
    assert_eq!(now(store.load(&id)).unwrap().unwrap().record, record);
    allocation_counter::measure(|| {
        let _ = now(store.load(&id));
    })
    .count_total
}

#[test]
fn loading_the_benchmark_session_allocates_exactly_the_budget() {
    let ring = || KeyRing::from_lines(SECRET).unwrap();
    let memory = allocations_of_a_load(&MemoryStore::new(), reference());
    assert_eq!(memory, 0);
    let sealed = allocations_of_a_load(&EncryptedStore::new(MemoryStore::new(), ring()), reference());
    assert_eq!(sealed - memory, 2, "the entries and the record; the budget is 3");
    let owned = || reference().with_owner(Some(Owner::new("bob@example.org", Epoch::from_u64(1)).unwrap()));
    let sealed = allocations_of_a_load(&EncryptedStore::new(MemoryStore::new(), ring()), owned());
    assert_eq!(sealed - memory, 3, "and the owner's name; the budget is 3");

    let trusting = CacheConfig::new().trusted(Duration::from_secs(60));
    let cached = CachedStore::with_config(Remote(MemoryStore::new()), trusting.clone());
    assert_eq!(allocations_of_a_load(&cached, reference()), 0);
    let cached = CachedStore::with_config(EncryptedStore::new(Remote(MemoryStore::new()), ring()), trusting);
    assert_eq!(allocations_of_a_load(&cached, owned()), 0);
    let cached = CachedStore::new(Remote(MemoryStore::new()));
    assert_eq!(allocations_of_a_load(&cached, reference()), 0, "validated");
}
