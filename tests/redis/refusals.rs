//! A request that the server refuses changes nothing, and the error says what to do.

use std::time::{Duration, Instant};

use session_layer::{
    SessionStore,
    store::{End, Leases, StoreError, StoreErrorKind, Touch, Update},
};

use crate::{
    server::{Product, Server, wait_until},
    support::*,
};

/// Checks that an error guarantees that nothing was changed, and that its cause contains `why`.
fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, kind: StoreErrorKind, why: &str) {
    let error = answer.expect_err(why);
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(cause(&error).contains(why), "{error:?}");
}

#[tokio::test]
async fn a_full_server_writes_nothing_and_still_ends_sessions() {
    for product in Product::ALL {
        let server = Server::start(product, &["--maxmemory-policy", "noeviction"]);
        let (store, id) = (store(&server), id());
        let version = created(&store, &id, &owned("ada", 1)).await;
        server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
        let (next, full) = (record(b"2"), "`maxmemory`");
        refused(store.update(&id, &next, &version, usage(&next)).await, StoreErrorKind::Unavailable, full);
        refused(store.create(&crate::support::id(), &next, usage(&next)).await, StoreErrorKind::Unavailable, full);
        let later = session_layer::store::Usage::keep_for(std::time::SystemTime::now(), Duration::from_secs(86_400));
        refused(store.touch(&id, later).await, StoreErrorKind::Unavailable, full);
        refused(store.ensure_epoch("ada", later).await, StoreErrorKind::Unavailable, full);
        refused(
            store.acquire(&id, session_layer::store::Holder::generate().unwrap(), Duration::from_secs(9)).await,
            StoreErrorKind::Unavailable,
            full,
        );
        let stored = loaded(&store, &id).await;
        assert_eq!((stored.version, value(&stored)), (version, &b"1"[..]), "{product:?}");
        assert_eq!(store.end(&id, &version, std::time::SystemTime::now()).await.unwrap(), End::Ended);
        assert!(!store.remove(&id).await.unwrap());
    }
}

#[tokio::test]
async fn a_server_that_is_full_of_sessions_can_be_cleared() {
    for product in Product::ALL {
        let server = Server::start(product, &["--maxmemory-policy", "noeviction"]);
        let used: u64 = server.info("used_memory").parse().unwrap();
        server.cli(&["CONFIG", "SET", "maxmemory", &(used + 4_000_000).to_string()]);
        let (store, large) = (store(&server), record(&[b'x'; 20_000]));
        let mut last = id();
        let error = loop {
            match store.create(&last, &large, usage(&large)).await {
                Ok(_) => last = id(),
                Err(error) => break error,
            }
        };
        assert!(cause(&error).contains("`maxmemory`"), "{error:?}");
        assert!(store.clearing().unwrap().clear().await.unwrap() > 50, "{product:?}");
        assert_eq!(store.listing().unwrap().count().await.unwrap(), 0);
        created(&store, &last, &large).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_for_writes_and_for_reads() {
    let (primary, replica) = (Server::start(Product::Redis, &[]), Server::start(Product::Redis, &[]));
    let (store, id) = (store(&primary), id());
    let version = created(&store, &id, &record(b"1")).await;
    replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    wait_until("the replica is in sync", || replica.info("master_link_status") == "up");
    let (there, next) = (builder(&replica).build().unwrap(), record(b"2"));
    // A replica's data may be old, or missing while it copies the primary's, so it must not answer that a session is
    // gone.
    let missing = crate::support::id();
    // A session that was loaded while this server was a primary is returned for a moment longer, and is never reported
    // as gone.
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(loaded(&there, &id).await.version, version);
    replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    let limit = Instant::now() + Duration::from_secs(20);
    while let Ok(found) = there.load(&id).await {
        assert!(found.is_some() && Instant::now() < limit);
    }
    wait_until("the replica is in sync", || replica.info("master_link_status") == "up");
    for id in [&id, &missing] {
        let holder = session_layer::store::Holder::generate().unwrap();
        let answers = [
            there.update(id, &next, &version, usage(&next)).await.map(drop),
            there.update(id, &next, &session_layer::store::Version::from_u64(1), usage(&next)).await.map(drop),
            there.load(id).await.map(drop),
            there.refresh(id, &loaded(&store, &stored(&store).await).await).await.map(drop),
            there.create(id, &next, usage(&next)).await.map(drop),
            there.touch(id, usage(&next)).await.map(drop),
            there.remove(id).await.map(drop),
            there.end(id, &version, std::time::SystemTime::now()).await.map(drop),
            there.acquire(id, holder, Duration::from_secs(9)).await.map(drop),
            there.release(id, holder).await.map(drop),
            there.metadata(id).await.map(drop),
            there.owner_epoch("ada").await.map(drop),
            there.ensure_epoch("ada", usage(&next)).await.map(drop),
            there.renew_epoch("ada", usage(&next)).await.map(drop),
            there.owners().unwrap().list_owner("ada").await.map(drop),
            there.listing().unwrap().count().await.map(drop),
            there.clearing().unwrap().clear().await.map(drop),
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            assert!(answer.is_err(), "answer {number} of {id}");
            refused(answer, StoreErrorKind::Unavailable, "replica");
        }
    }
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(loaded(&there, &id).await.version, version);
}

/// The commands and keys that the store's documentation lists as permissions.
pub const PERMISSIONS: [&str; 23] = [
    "~session:*",
    "resetchannels",
    "-@all",
    "+hello",
    "+ping",
    "+info",
    "+evalsha",
    "+eval",
    "+get",
    "+mget",
    "+getrange",
    "+set",
    "+setrange",
    "+pexpireat",
    "+pexpiretime",
    "+unlink",
    "+zadd",
    "+zrem",
    "+zcard",
    "+zrange",
    "+zremrangebyscore",
    "+zremrangebyrank",
    "+scan",
];

#[test]
fn the_documentation_lists_the_permissions() {
    let documented = include_str!("../../src/store/redis/store.rs").replace("\n///", "");
    assert!(documented.contains(&PERMISSIONS.join(" ")));
}

#[tokio::test]
async fn a_user_with_the_documented_permissions_can_do_everything_and_others_are_told() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        server.cli(&[&["ACL", "SETUSER", "app", "on", ">hunter2"][..], &PERMISSIONS].concat());
        let limit = Duration::from_secs(5);
        let app = || builder(&server).credentials("app", "hunter2").request_timeout(limit).connect_timeout(limit);
        let (store, id) = (app().connect().await.unwrap(), id());
        let version = created(&store, &id, &owned("ada", 1)).await;
        let now = std::time::SystemTime::now();
        let next = owned("ada", 1);
        let Update::Updated(_) = store.update(&id, &next, &version, usage(&next)).await.unwrap() else { panic!() };
        let later = session_layer::store::Usage::keep_for(now, Duration::from_secs(86_400 * 300));
        assert_eq!(store.touch(&id, later).await.unwrap(), Touch::Touched);
        store.ensure_epoch("ada", later).await.unwrap();
        store.renew_epoch("ada", later).await.unwrap();
        assert!(store.owner_epoch("ada").await.unwrap().is_some());
        assert_eq!(store.owners().unwrap().list_owner("ada").await.unwrap().len(), 1);
        let holder = session_layer::store::Holder::generate().unwrap();
        store.acquire(&id, holder, Duration::from_secs(9)).await.unwrap();
        assert!(store.release(&id, holder).await.unwrap());
        store.refresh(&id, &loaded(&store, &id).await).await.unwrap();
        let listing = store.listing().unwrap();
        assert_eq!((listing.count().await.unwrap(), listing.sweep().await.unwrap().remaining), (1, 1));
        let version = loaded(&store, &id).await.version;
        assert_eq!(store.end(&id, &version, now).await.unwrap(), End::Ended);
        assert!(!store.remove(&id).await.unwrap());
        created(&store, &id, &owned("ada", 1)).await;
        assert_eq!(store.clearing().unwrap().clear().await.unwrap(), 1);
        assert_eq!(store.statistics().refused, store.statistics().scripts_sent, "{product:?}: only unknown scripts");

        let elsewhere = app().prefix("shop:").build().unwrap();
        refused(elsewhere.load(&id).await, StoreErrorKind::Unavailable, "permission");
        for lacking in ["-get", "-set", "-evalsha", "-unlink"] {
            server.cli(&["ACL", "SETUSER", "app", lacking]);
            let version = session_layer::store::Version::from_u64(1);
            let answers = [
                store.load(&id).await.map(drop),
                store.create(&id, &next, usage(&next)).await.map(drop),
                store.end(&id, &version, now).await.map(drop),
                store.remove(&id).await.map(drop),
            ];
            let error = answers.into_iter().find_map(Result::err).expect("one needs it");
            refused::<()>(Err(error), StoreErrorKind::Unavailable, "permission");
            server.cli(&["ACL", "SETUSER", "app", &lacking.replace('-', "+")]);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_loading_is_unavailable() {
    let mut server = Server::start(
        Product::Redis,
        &["--appendonly", "yes", "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"],
    );
    let (store, id) = (store(&server), id());
    created(&store, &id, &record(b"1")).await;
    server.cli(&["DEBUG", "POPULATE", "3000"]);
    server.cli(&["BGREWRITEAOF"]);
    wait_until("the file is rewritten", || server.info("aof_base_size").parse::<u64>().is_ok_and(|size| size > 10_000));
    server.restart();
    let mut seen = false;
    loop {
        match store.load(&id).await {
            Ok(stored) => {
                assert_eq!(stored.as_ref().map(value), Some(&b"1"[..]));
                break;
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
                seen |= cause(&error).contains("starting") || cause(&error).contains("LOADING");
            }
        }
    }
    assert!(seen, "it was asked while it loaded");
}

#[tokio::test]
async fn a_key_of_another_type_is_damage() {
    let server = Server::start(Product::Valkey, &[]);
    let (store, id) = (store(&server), id());
    server.cli(&["LPUSH", &key(&id), "x"]);
    refused(store.load(&id).await, StoreErrorKind::Corrupt, "another type");
    let next = record(b"1");
    refused(store.create(&id, &next, usage(&next)).await, StoreErrorKind::Corrupt, "another type");
    assert!(store.remove(&id).await.unwrap());
    created(&store, &id, &next).await;
}

#[tokio::test]
async fn a_server_that_can_not_save_or_lacks_replicas_writes_nothing() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let (store, id, next) = (store(&server), id(), record(b"2"));
        let version = created(&store, &id, &record(b"1")).await;
        // A folder is in the place of the snapshot file.
        std::fs::create_dir(server.folder().join("dump.rdb")).unwrap();
        server.cli(&["CONFIG", "SET", "save", "3600 1"]);
        server.cli(&["BGSAVE"]);
        wait_until("the snapshot has failed", || server.info("rdb_last_bgsave_status") == "err");
        refused(store.update(&id, &next, &version, usage(&next)).await, StoreErrorKind::Unavailable, "can't save");
        server.cli(&["CONFIG", "SET", "save", ""]);
        server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        refused(
            store.update(&id, &next, &version, usage(&next)).await,
            StoreErrorKind::Unavailable,
            "min-replicas-to-write",
        );
        assert_eq!(loaded(&store, &id).await.version, version);
        server.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        assert!(matches!(store.update(&id, &next, &version, usage(&next)).await.unwrap(), Update::Updated(_)));
    }
}

#[tokio::test]
async fn scripts_that_the_server_has_lost_are_sent_again() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let (store, id) = (store(&server), id());
        let record = record(b"1");
        created(&store, &id, &record).await;
        store.touch(&id, usage(&record)).await.unwrap();
        let sent = store.statistics().scripts_sent;
        server.cli(&["SCRIPT", "FLUSH"]);
        for _ in 0..3 {
            assert_eq!(store.touch(&id, usage(&record)).await.unwrap(), Touch::Touched);
        }
        assert_eq!(store.statistics().scripts_sent, sent + 1, "{product:?}");
    }
}
