//! What a full server evicts, and what it must not evict.

use std::{sync::Arc, time::Duration};

use session_layer::{
    MemcachedStore, SessionId, SessionStore,
    record::{Epoch, Owner, Record},
    store::{Holder, Leases},
};
use tokio::task::JoinSet;

use crate::{server::Memcached, support::*};

/// A user who has logged in and is idle.
struct Idle {
    name: String,
    epoch: Epoch,
    id: SessionId,
}

impl Idle {
    async fn log_in(store: &MemcachedStore, number: usize, size: usize) -> Self {
        let name = format!("user {number}");
        let first = record(&vec![b'u'; size]);
        let epoch = store.ensure_epoch(&name, usage(&first)).await.unwrap();
        let owner = Owner::new(name.as_str(), epoch).unwrap();
        let (id, first) = (id(), Arc::new(Record::clone(&first).with_owner(Some(owner))));
        created(store, &id, &first).await;
        Self { name, epoch, id }
    }
}

/// Stores anonymous sessions of one size, with `bytes` of values in all. Some of them are leased.
async fn flood(store: &MemcachedStore, size: usize, bytes: usize) {
    let mut visitors = JoinSet::new();
    let count = (bytes / (size + 200)).clamp(100, 10_000);
    for part in 0..8 {
        let store = store.clone();
        visitors.spawn(async move {
            let value = record(&vec![b'a'; size]);
            let holder = Holder::generate().unwrap();
            for number in (part..count).step_by(8) {
                let id = id();
                created(&store, &id, &value).await;
                if number % 4 == 0 {
                    let _ = store.acquire(&id, holder, Duration::from_secs(3_600)).await.unwrap();
                }
            }
        });
    }
    visitors.join_all().await;
}

/// Floods with sessions of every size, including the sizes of the epochs' slab class and of the users' records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_sessions_log_no_idle_user_out() {
    for prefix in ["session:", "", "a-much-longer-prefix-for-all-keys:"] {
        let server = Memcached::start(&["-m", "4"]);
        let limit = Duration::from_secs(10);
        let store = builder([&server]).prefix(prefix).request_timeout(limit).build().unwrap();
        let mut users = Vec::new();
        for number in 0..200 {
            users.push(Idle::log_in(&store, number, [100, 2_000, 7_000][number % 3]).await);
        }
        let mut survived = Vec::new();
        for size in [0, 1, 10, 30, 60, 100, 200, 400, 1_000, 3_000, 10_000, 100_000] {
            flood(&store, size, 12_000_000).await;
            let mut records = 0;
            for user in &users {
                if store.load(&user.id).await.unwrap().is_some() {
                    records += 1;
                    let epoch = store.owner_epoch(&user.name).await.unwrap();
                    assert_eq!(epoch, Some(user.epoch), "{prefix:?}: after sessions of {size} bytes, {}", user.name);
                }
            }
            survived.push(records);
        }
        assert!(server.stat("evictions") > 1_000, "nothing was evicted");
        // Most floods don't evict the users' records; the last ones evict some.
        assert!(survived[0] == 200 && survived[4] > 0, "{survived:?}");
    }
}

/// If an epoch is lost despite this, its owner's sessions are revoked, not restored.
#[tokio::test]
async fn a_lost_epoch_revokes() {
    let servers = Memcached::cluster(3);
    let store = store(&servers);
    let owner = SessionId::for_epoch("alice");
    let home = &servers[store.server_of(&owner)];
    let first = owned("alice", 1);
    let epoch = store.ensure_epoch("alice", usage(&first)).await.unwrap();
    assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(epoch));
    assert_eq!(home.ask(&format!("md session:{owner}:epoch\r\n"), "HD"), ["HD"]);
    assert_eq!(store.owner_epoch("alice").await.unwrap(), None);
    store.renew_epoch("alice", usage(&first)).await.unwrap();
    assert_eq!(store.owner_epoch("alice").await.unwrap(), None);
    assert_ne!(store.ensure_epoch("alice", usage(&first)).await.unwrap(), epoch);
    // Bytes that are not an epoch count as none, and are replaced.
    assert_eq!(home.ask(&format!("ms session:{owner}:epoch 7 T100\r\ngarbage\r\n"), "HD"), ["HD"]);
    assert_eq!(store.owner_epoch("alice").await.unwrap(), None);
    let epoch = store.ensure_epoch("alice", usage(&first)).await.unwrap();
    assert_eq!(store.owner_epoch("alice").await.unwrap(), Some(epoch));
}
