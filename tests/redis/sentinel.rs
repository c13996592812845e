//! The primary that Sentinels name, through failovers.

use std::time::{Duration, Instant};

use session_layer::{
    RedisStore, SessionId, SessionStore,
    store::{RedisStoreBuilder, StoreErrorKind, Update},
};

use crate::{
    refusals::PERMISSIONS,
    server::{MASTER, Product, Sentinels, wait_until},
    support::*,
};

fn builder(sentinels: &Sentinels) -> RedisStoreBuilder {
    let limit = Duration::from_secs(1);
    RedisStore::builder().sentinels(sentinels.addresses(), MASTER).connect_timeout(limit).request_timeout(limit)
}

/// Waits until the store can write again. Until then, its errors must be of the expected kinds.
async fn written_again(store: &RedisStore, id: &SessionId, n: &[u8]) {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let outcome = async {
            let stored = store.load(id).await?.expect("a session that replicas have");
            let next = record(n);
            store.update(id, &next, &stored.version, usage(&next)).await
        };
        match outcome.await {
            Ok(Update::Updated(_)) => return,
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                use StoreErrorKind::{NotReplicated, OutcomeUnknown, Timeout, Unavailable};
                let kinds = [Unavailable, Timeout, OutcomeUnknown, NotReplicated];
                assert!(kinds.contains(&error.kind()), "{error:?}");
            }
        }
        assert!(Instant::now() < limit, "the new primary is not found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_follows_the_primary() {
    for product in Product::ALL {
        let mut sentinels = Sentinels::start(product);
        let (store, id) = (builder(&sentinels).replicas(1).build().unwrap(), id());
        created(&store, &id, &record(b"1")).await;

        // A failover while both are healthy: the old primary becomes a replica.
        let second = sentinels.failover();
        written_again(&store, &id, b"2").await;

        // Stopped: it keeps its connections open, and answers nothing.
        sentinels.servers[second].stop();
        let third = sentinels.wait_for_other_master(second);
        written_again(&store, &id, b"3").await;
        sentinels.servers[second].resume();
        wait_until("the old primary is a replica", || {
            sentinels.servers[second].info("role") == "slave"
                && sentinels.servers[second].info("master_link_status") == "up"
        });
        assert_eq!(value(&loaded(&store, &id).await), b"3");

        // Killed.
        sentinels.servers[third].kill();
        sentinels.wait_for_other_master(third);
        written_again(&store, &id, b"4").await;
        assert_eq!(value(&loaded(&store, &id).await), b"4", "{product:?}");
    }
}

/// One Sentinel that answers is enough. If none answers, the error says so.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_are_down_are_passed_over() {
    let mut sentinels = Sentinels::start(Product::Valkey);
    sentinels.sentinels[0].kill();
    sentinels.sentinels[1].stop();
    let id = id();
    let patient = builder(&sentinels).connect_timeout(Duration::from_secs(5)).request_timeout(Duration::from_secs(5));
    created(&patient.build().unwrap(), &id, &record(b"1")).await;
    sentinels.sentinels[1].kill();
    sentinels.sentinels[2].kill();
    let error = builder(&sentinels).build().unwrap().load(&id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_sentinels_do_not_know_is_an_error() {
    let sentinels = Sentinels::start(Product::Redis);
    let error = builder(&sentinels).sentinels(sentinels.addresses(), "others").build().unwrap().load(&id()).await;
    assert!(cause(&error.unwrap_err()).contains("not found in sentinel"));
    let url = format!("redis-sentinel://{}/{MASTER}", sentinels.addresses().join(","));
    assert!(RedisStore::from_url(&url).unwrap().load(&id()).await.unwrap().is_none());
}

/// The permissions that the store's documentation lists for Sentinel, besides those for a single server.
#[tokio::test(flavor = "multi_thread")]
async fn users_with_the_documented_permissions_are_enough() {
    for product in Product::ALL {
        let sentinels = Sentinels::start(product);
        for server in &sentinels.servers {
            server.cli(&[&["ACL", "SETUSER", "app", "on", ">hunter2"][..], &PERMISSIONS, &["+role", "+wait"]].concat());
        }
        for sentinel in &sentinels.sentinels {
            let permissions = ["-@all", "+hello", "+role", "+sentinel|masters"];
            sentinel.cli(&[&["ACL", "SETUSER", "watcher", "on", ">hunter3"][..], &permissions].concat());
            sentinel.cli(&["ACL", "SETUSER", "default", "off"]);
        }
        let with_user = || builder(&sentinels).credentials("app", "hunter2").replicas(1);
        let by_watcher = with_user().sentinel_credentials(Some("watcher".to_owned()), "hunter3").build().unwrap();
        let id = id();
        created(&by_watcher, &id, &record(b"1")).await;
        assert_eq!(value(&loaded(&by_watcher, &id).await), b"1", "{product:?}");
        let error = with_user().build().unwrap().load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
        assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
    }
}

/// The primary has answered a logout that no replica has. A failover undoes it. A store that waits for a replica
/// reports that instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_no_replica_has_is_undone_by_a_failover_and_waiting_tells() {
    for product in Product::ALL {
        let mut sentinels = Sentinels::start(product);
        let (quick, waiting) = (builder(&sentinels).build().unwrap(), builder(&sentinels).replicas(1).build().unwrap());
        let (first, second) = (id(), id());
        for id in [&first, &second] {
            created(&waiting, id, &record(b"1")).await;
        }
        let primary = sentinels.master();
        let replicas: Vec<_> = (0..3).filter(|index| *index != primary).collect();
        replicas.iter().for_each(|index| sentinels.servers[*index].stop());
        // Otherwise, the replicas would read what was sent to them when they are resumed.
        sentinels.servers[primary].cli(&["CLIENT", "KILL", "TYPE", "replica"]);
        assert!(quick.remove(&first).await.unwrap(), "logged out, says the primary");
        let error = waiting.remove(&second).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotReplicated, "{error:?}");
        assert!(cause(&error).contains("only 0 of 1 replicas confirmed it"), "{error:?}");
        assert_eq!(waiting.statistics().not_replicated, 1);

        sentinels.servers[primary].kill();
        replicas.iter().for_each(|index| sentinels.servers[*index].resume());
        sentinels.wait_for_other_master(primary);
        written_again(&quick, &first, b"2").await;
        assert!(quick.load(&second).await.unwrap().is_some(), "{product:?}");
        assert!(waiting.remove(&second).await.unwrap(), "said again, it is done");
    }
}
