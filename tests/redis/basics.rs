//! Keys, prefixes, lists, generations, clients and settings: the kit covers none of these.

use std::time::{Duration, SystemTime};

use session_layer::{
    RedisStore, SessionId, SessionStore,
    store::{Cursor, End, OwnerEpoch, Rename, Update, Usage},
};

use crate::{
    proxy::Proxy,
    server::{Product, Reply, Server},
    support::*,
};

#[tokio::test]
async fn a_client_of_the_application_says_where_the_server_is() {
    let server = Server::start_with_password(Product::Valkey, "hunter2");
    let client = redis::Client::open(format!("redis://:hunter2@{}/3", server.address())).unwrap();
    let (store, id) = (RedisStore::from_client(client), id());
    created(&store, &id, &record(b"1")).await;
    assert_eq!(value(&loaded(&store, &id).await), b"1");
    assert_eq!(server.cli(&["DBSIZE"]), Reply::Number(0), "it is in the client's database");
    assert!(server.info("db3").starts_with("keys=1,expires=1"));
}

#[tokio::test]
async fn connecting_tells_at_once_what_is_wrong() {
    let server = Server::start_with_password(Product::Redis, "hunter2");
    let refused = async |builder: session_layer::store::RedisStoreBuilder| {
        let error = builder.connect().await.expect_err("refused");
        let mut source = std::error::Error::source(&error);
        let mut text = error.to_string();
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        assert!(!text.contains("hunter"), "{text}");
        text
    };
    let text = refused(builder(&server)).await;
    assert!(text.contains("NOAUTH") || text.contains("password"), "{text}");
    let text = refused(builder(&server).credentials("default", "hunter3")).await;
    assert!(text.contains("assword"), "{text}");
    let text = refused(RedisStore::builder().server("127.0.0.1:1")).await;
    assert!(text.contains("refused"), "{text}");
    builder(&server).credentials("default", "hunter2").connect().await.expect("the right password");
}

#[tokio::test]
async fn stores_with_other_prefixes_share_a_database_and_see_nothing_of_each_other() {
    let server = Server::start(Product::Redis, &[]);
    let (shop, other) =
        (builder(&server).prefix("shop:").build().unwrap(), builder(&server).prefix("sh*p:").build().unwrap());
    let id = id();
    created(&shop, &id, &record(b"1")).await;
    assert!(other.load(&id).await.unwrap().is_none());
    let count = async |store: &RedisStore| store.listing().unwrap().count().await.unwrap();
    assert_eq!((count(&shop).await, count(&other).await), (1, 0));
    assert_eq!(other.clearing().unwrap().clear().await.unwrap(), 0);
    assert_eq!(value(&loaded(&shop, &id).await), b"1");
    assert_eq!(shop.clearing().unwrap().clear().await.unwrap(), 1);
    assert!(shop.load(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_ends_by_the_servers_own_expiry() {
    let server = Server::start(Product::Redis, &[]);
    let (store, id, owner) = (store(&server), id(), "ada");
    let record = owned(owner, 1);
    created(&store, &id, &record).await;
    let until = |key: &str| server.cli(&["PEXPIRETIME", key]).number();
    let millis =
        |time: SystemTime| i64::try_from(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let stored = loaded(&store, &id).await;
    assert_eq!(until(&key(&id)), millis(stored.expires_at));
    assert_eq!(until(&format!("{}:sessions", key(&SessionId::for_epoch(owner)))), millis(record.absolute_limit()));
    store.ensure_epoch(owner, stored.usage()).await.unwrap();
    assert_eq!(until(&format!("{}:epoch", key(&SessionId::for_epoch(owner)))), millis(stored.expires_at));
}

#[tokio::test]
async fn an_owners_list_holds_what_lives_and_is_repaired_where_it_is_read() {
    let server = Server::start(Product::Redis, &[]);
    let (store, list) = (store(&server), format!("{}:sessions", key(&SessionId::for_epoch("ada"))));
    let (one, two, three, four) = (id(), id(), id(), id());
    let mut versions = Vec::new();
    for id in [&one, &two, &three, &four] {
        versions.push(created(&store, id, &owned("ada", 1)).await);
    }
    let members = || server.cli(&["ZCARD", &list]).number();
    assert_eq!(members(), 4);
    // An end, a removal and a tombstone remove a session from the list at once.
    store.remove(&one).await.unwrap();
    assert_eq!(members(), 3);
    let now = SystemTime::now();
    assert_eq!(store.end(&two, &versions[1], now).await.unwrap(), End::Ended);
    assert_eq!(members(), 2);
    let next = owned("ada", 1);
    let renamed = store.rename(&three, &versions[2], &tombstone(), &id(), &next, usage(&next)).await.unwrap();
    assert!(matches!(renamed, Rename::Renamed(_)));
    assert_eq!(members(), 2, "the new one, and the fourth");
    // An evicted session is left out of the answer, and removed from the list.
    server.cli(&["DEL", &key(&four)]);
    let owners = store.owners().unwrap();
    assert_eq!(owners.list_owner("ada").await.unwrap().len(), 1);
    assert_eq!(members(), 1);
    // A list that was lost comes back with each session's next write.
    server.cli(&["DEL", &list]);
    let id = id();
    let version = created(&store, &id, &owned("ada", 1)).await;
    server.cli(&["DEL", &list]);
    assert_eq!(owners.list_owner("ada").await.unwrap().len(), 0);
    store.update(&id, &owned("ada", 1), &version, usage(&record(b"1"))).await.unwrap();
    assert_eq!(owners.list_owner("ada").await.unwrap().len(), 1);
    // A key of another type in the list's place doesn't prevent a session from being stored.
    server.cli(&["DEL", &list]);
    server.cli(&["SET", &list, "x"]);
    created(&store, &crate::support::id(), &owned("ada", 1)).await;
    assert!(owners.list_owner("ada").await.is_err());
}

#[tokio::test]
async fn a_store_without_lists_writes_none() {
    let server = Server::start(Product::Redis, &[]);
    let store = builder(&server).list_owners(false).build().unwrap();
    created(&store, &id(), &owned("ada", 1)).await;
    assert_eq!(server.cli(&["DBSIZE"]).number(), 1);
    assert!(store.owners().is_none());
}

/// A clear has raised some partitions and then failed. The session is renewed from a partition that the clear has not
/// reached to one that it has.
#[tokio::test]
async fn a_renewal_completes_a_clear_that_failed_half_way() {
    let server = Server::start(Product::Valkey, &[]);
    let (store, from, to) = (store(&server), id(), id());
    let version = created(&store, &from, &record(b"1")).await;
    let generation = |id: &SessionId| format!("{}:generation", key(id).rsplit_once(':').unwrap().0);
    server.cli(&["SET", &generation(&to), "7"]);
    let next = record(b"1");
    let outcome = store.rename(&from, &version, &tombstone(), &to, &next, usage(&next)).await.unwrap();
    assert!(matches!(outcome, Rename::Gone), "{outcome:?}");
    assert!(store.load(&from).await.unwrap().is_none() && store.load(&to).await.unwrap().is_none());
    assert_eq!(server.cli(&["GET", &generation(&from)]).text(), "7");
    // The other way round, the new session has the newer generation, and survives the rest of the clear.
    let (from, to) = (to, id());
    let version = created(&store, &from, &next).await;
    let outcome = store.rename(&from, &version, &tombstone(), &to, &next, usage(&next)).await.unwrap();
    assert!(matches!(outcome, Rename::Renamed(_)), "{outcome:?}");
    server.cli(&["SET", &generation(&to), "7"]);
    assert_eq!(value(&loaded(&store, &to).await), b"1");
}

#[tokio::test]
async fn a_walk_goes_through_a_database_of_other_things() {
    let server = Server::start(Product::Redis, &[]);
    let store = store(&server);
    server.cli(&["DEBUG", "POPULATE", "300000", "other"]);
    let ids = [id(), id(), id()];
    for id in &ids {
        created(&store, id, &record(b"1")).await;
    }
    let (listing, mut found, mut from) = (store.listing().unwrap(), Vec::new(), Some(Cursor::START));
    while let Some(at) = from {
        let page = listing.ids(at, 10).await.unwrap();
        found.extend(page.ids);
        from = page.next;
    }
    found.sort();
    found.dedup();
    let mut ids = ids;
    ids.sort();
    assert_eq!(found, ids);
    assert_eq!(listing.count().await.unwrap(), 3);
}

#[tokio::test]
async fn what_was_done_is_counted_and_a_closed_store_answers_nothing() {
    let server = Server::start(Product::Redis, &[]);
    let (store, id) = (store(&server), id());
    let version = created(&store, &id, &record(b"1")).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(value(&loaded(&store, &id).await), b"1");
    let next = record(b"2");
    let Update::Updated(version) = store.update(&id, &next, &version, usage(&next)).await.unwrap() else { panic!() };
    let seen = store.statistics();
    assert!(seen.scripts_sent >= 2 && seen.connections_made >= 1, "{seen:?}");
    assert_eq!((seen.unanswered, seen.not_sent, seen.connections_lost), (0, 0, 0));
    store.flush().await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    let error = store.update(&id, &next, &version, usage(&next)).await.unwrap_err();
    assert!(cause(&error).contains("closed"), "{error:?}");
}

/// What a process remembers of a session's owner may be out of date, since another process may have changed it.
#[tokio::test]
async fn the_epoch_of_a_session_that_changes_its_owner_elsewhere_is_that_of_the_new_owner() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        let (here, there, id) = (store(&server), store(&server), id());
        let kept = Usage::keep_for(SystemTime::now(), Duration::from_secs(60));
        let ada = here.ensure_epoch("ada", kept).await.unwrap();
        let bob = here.ensure_epoch("bob", kept).await.unwrap();
        let mut version = created(&here, &id, &record(b"1")).await;
        assert_eq!(loaded(&here, &id).await.owner_epoch, OwnerEpoch::NotAsked);
        for (owner, epoch) in [("ada", ada), ("bob", bob)] {
            let next = owned(owner, epoch.to_u64());
            let updated = there.update(&id, &next, &version, usage(&next)).await.unwrap();
            let Update::Updated(new) = updated else { panic!("{updated:?}") };
            version = new;
            // The first load finds that it has read the wrong epoch.
            assert_eq!(loaded(&here, &id).await.owner_epoch, OwnerEpoch::NotAsked);
            assert_eq!(loaded(&here, &id).await.owner_epoch, OwnerEpoch::Present(epoch));
        }
        there.renew_epoch("bob", kept).await.unwrap();
        let renewed = here.owner_epoch("bob").await.unwrap().unwrap();
        assert_eq!(loaded(&here, &id).await.owner_epoch, OwnerEpoch::Present(renewed));
        server.cli(&["DEL", &format!("{}:epoch", key(&SessionId::for_epoch("bob")))]);
        // A plain read may have asked a replica, so that there is none is for a script to say.
        assert_eq!(loaded(&here, &id).await.owner_epoch, OwnerEpoch::NotAsked);
        assert_eq!(here.owner_epoch("bob").await.unwrap(), None);
        assert!(there.remove(&id).await.unwrap());
        assert!(here.load(&id).await.unwrap().is_none());
    }
}

/// Requests share a connection, which costs the least, but not while it is held up.
#[tokio::test]
async fn a_second_connection_is_made_only_when_the_first_is_held_up() {
    let server = Server::start(Product::Valkey, &[]);
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::builder().server(proxy.address()).request_timeout(Duration::from_secs(20)).build().unwrap();
    for _ in 0..100 {
        store.load(&id()).await.unwrap();
    }
    assert_eq!(store.statistics().connections_made, 1);
    proxy.delay(Duration::from_secs(10));
    let (sent, slow) = (
        store.statistics().requests,
        tokio::spawn({
            let store = store.clone();
            async move { store.load(&id()).await }
        }),
    );
    while store.statistics().requests == sent {
        tokio::task::yield_now().await;
    }
    // A load queues behind it, until its visitor has gone.
    tokio::time::timeout(Duration::from_millis(5), store.load(&id())).await.unwrap_err();
    proxy.delay(Duration::ZERO);
    store.load(&id()).await.unwrap();
    slow.abort();
    assert_eq!(store.statistics().connections_made, 2);
}

/// If a request were sent on a connection that the server has closed, its outcome would be unknown.
#[tokio::test]
async fn a_dead_connection_is_noticed_before_the_next_request() {
    let server = Server::start(Product::Redis, &[]);
    let (store, id) = (builder(&server).connections(1).build().unwrap(), id());
    let mut version = created(&store, &id, &record(b"0")).await;
    let mut noticed = 0;
    for round in 0..20u8 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // The end of the connection reaches its task when the runtime polls the socket, which may take longer on a busy
        // machine.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let next = record(&[round]);
        match store.update(&id, &next, &version, usage(&next)).await {
            Ok(Update::Updated(new)) => {
                version = new;
                noticed += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => version = loaded(&store, &id).await.version,
        }
    }
    assert!(noticed >= 10, "{noticed} of 20 were sent on a new connection");
}
