//! Properties that hold over every database, in addition to the conformance kit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use session_layer::{
    Clock, SessionStore, SqlStore,
    record::Record,
    store::{Clearing, Cursor, Leases, Listing, OwnerEpoch, Owners, Rename, Update, Usage},
};

use crate::{
    server::{Product, Server},
    support::*,
};

/// Every database, and the folder of its file.
fn databases() -> (Vec<Database>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = Database::Sqlite(dir.path().join("sessions.db"));
    (vec![Database::postgres(8), Database::mysql(8), file], dir)
}

/// A store over a fresh table in each database.
async fn stores() -> (Vec<SqlStore>, tempfile::TempDir) {
    let (databases, dir) = databases();
    let mut stores = Vec::new();
    for database in databases {
        stores.push(database.store().table(table()).create().await.unwrap());
    }
    (stores, dir)
}

async fn renamed(store: &SqlStore, from: &session_layer::SessionId, record: &Arc<Record>) -> session_layer::SessionId {
    let (to, held) = (id(), loaded(store, from).await);
    let outcome = store.rename(from, &held.version, &tombstone(), &to, record, usage(record)).await.unwrap();
    assert!(matches!(outcome, Rename::Renamed(_)), "{outcome:?}");
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_told_apart_byte_for_byte() {
    let (stores, _dir) = stores().await;
    let longest = "x".repeat(1_024);
    let names = ["alice", "Alice", "ALICE", "alice ", "al\0ice", "älice", "a\u{308}lice", "\\", "'; --", &longest];
    for store in stores {
        let mut ids = Vec::new();
        for name in names {
            let epoch =
                store.ensure_epoch(name, Usage::keep_for(SystemTime::now(), Duration::from_secs(60))).await.unwrap();
            let (id, record) = (id(), owned(name, epoch.to_u64()));
            created(&store, &id, &record).await;
            ids.push((id, epoch));
        }
        for (name, (id, epoch)) in names.iter().zip(ids) {
            let listed = store.list_owner(name).await.unwrap();
            assert_eq!(listed.len(), 1, "{name:?} over {store:?}");
            assert_eq!(listed[0].id, id);
            let stored = listed[0].stored.as_ref().unwrap();
            assert_eq!(&**stored.record.owner().unwrap().name(), *name);
            assert_eq!(loaded(&store, &id).await.owner_epoch, OwnerEpoch::Present(epoch));
        }
        assert!(store.list_owner("nobody").await.unwrap().is_empty());
    }
}

/// The store counts its requests to the database; each is one round trip.
#[tokio::test(flavor = "multi_thread")]
async fn operations_take_the_documented_round_trips() {
    let (stores, _dir) = stores().await;
    let keep = Usage::keep_for(SystemTime::now(), Duration::from_secs(60));
    for store in stores {
        let start = std::cell::Cell::new(store.statistics().requests);
        let took = |trips: u64, what: &str| {
            let now = store.statistics().requests;
            assert_eq!(now - start.replace(now), trips, "{what} over {store:?}");
        };
        let (id, plain) = (id(), record(b"1"));
        created(&store, &id, &plain).await;
        took(1, "a create");
        let held = loaded(&store, &id).await;
        took(1, "a load");
        let epoch = store.ensure_epoch("alice", keep).await.unwrap();
        took(1, "an epoch that is new");
        assert_eq!(store.ensure_epoch("alice", keep).await.unwrap(), epoch);
        took(1, "an epoch that is there");
        let (to, owned) = (crate::support::id(), owned("alice", epoch.to_u64()));
        let outcome = store.rename(&id, &held.version, &tombstone(), &to, &owned, usage(&owned)).await.unwrap();
        assert!(matches!(outcome, Rename::Renamed(_)));
        took(1, "a rename");
        let held = loaded(&store, &to).await;
        assert_eq!(held.owner_epoch, OwnerEpoch::Present(epoch));
        took(1, "a load with the owner's epoch");
        store.refresh(&to, &held).await.unwrap();
        took(1, "a refresh");
        assert!(matches!(store.update(&to, &owned, &held.version, usage(&owned)).await.unwrap(), Update::Updated(_)));
        took(1, "an update");
        store.touch(&to, usage(&owned)).await.unwrap();
        took(1, "a touch");
        let other = store.update(&to, &owned, &held.version, usage(&owned)).await.unwrap();
        assert!(matches!(other, Update::Conflict(Some(_))), "{other:?}");
        // The second request reads the reason. In SQLite, the store's thread does both in one request.
        let trips = if store.name() == "sqlite" { 1 } else { 2 };
        took(trips, "an update that meets another version");
        let holder = session_layer::store::Holder::generate().unwrap();
        store.acquire(&to, holder, Duration::from_secs(5)).await.unwrap();
        took(1, "a lock");
        assert!(store.release(&to, holder).await.unwrap());
        took(1, "an unlock");
        store.renew_epoch("alice", keep).await.unwrap();
        took(1, "a revocation");
        let held = loaded(&store, &to).await;
        took(1, "a load before a logout");
        store.end(&to, &held.version, SystemTime::now()).await.unwrap();
        took(1, "an end");
    }
}

/// A touch doesn't change the version, so it must not cause a conflict with a rename or an incomplete one.
#[tokio::test(flavor = "multi_thread")]
async fn a_rename_beside_touches_happens_whole() {
    let (stores, _dir) = stores().await;
    for store in stores {
        for _ in 0..60 {
            let (from, record) = (id(), record(b"1"));
            created(&store, &from, &record).await;
            let done = Arc::new(AtomicBool::new(false));
            let touching = (0..3).map(|n: u64| {
                let (store, done) = (store.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut later = SystemTime::now();
                    while !done.load(Ordering::SeqCst) {
                        later += Duration::from_millis(1 + n);
                        store.touch(&from, Usage::keep_for(later, Duration::from_secs(3_600))).await.unwrap();
                    }
                })
            });
            let touching: Vec<_> = touching.collect();
            tokio::task::yield_now().await;
            let to = renamed(&store, &from, &record).await;
            done.store(true, Ordering::SeqCst);
            for touch in touching {
                touch.await.unwrap();
            }
            assert_eq!(value(&loaded(&store, &to).await), b"1");
            let old = loaded(&store, &from).await;
            assert!(!old.record.is_session(), "the old id has its tombstone");
        }
    }
}

/// Renames each session again and again until it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_renamed_session_survives_a_clear() {
    let (stores, _dir) = stores().await;
    for store in stores {
        for _ in 0..8 {
            let mut renaming = Vec::new();
            for _ in 0..25 {
                let (mut at, record) = (id(), record(b"1"));
                let mut version = created(&store, &at, &record).await;
                let store = store.clone();
                renaming.push(tokio::spawn(async move {
                    for renames in 0.. {
                        let to = id();
                        match store.rename(&at, &version, &tombstone(), &to, &record, usage(&record)).await.unwrap() {
                            Rename::Renamed(new) => (at, version) = (to, new),
                            Rename::Gone => return renames,
                            other => panic!("nobody else renames: {other:?}"),
                        }
                    }
                    unreachable!()
                }));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(store.clear().await.unwrap(), 25, "{store:?}");
            let mut renames = 0;
            for task in renaming {
                renames += task.await.unwrap();
            }
            assert!(renames > 0, "they were renamed");
            assert_eq!(store.count().await.unwrap(), 0, "{store:?}");
            assert!(store.ids(Cursor::START, 100).await.unwrap().ids.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_can_create_one_table_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = Server::shared(Product::Postgres);
    let mariadb = Server::shared(Product::MariaDb);
    let (one, two) = (postgres.url(&postgres.database()), mariadb.url(&mariadb.database()));
    for round in 0..5 {
        let table = table();
        let creating = (0..30).map(|n| {
            let database = match n % 3 {
                0 => Database::postgres_at(&one, 1),
                1 => Database::mysql_at(&two, 1),
                _ => Database::Sqlite(dir.path().join(format!("{round}.db"))),
            };
            let table = table.clone();
            tokio::spawn(async move {
                let store = database.store().table(table).create().await.unwrap();
                created(&store, &id(), &record(b"1")).await;
            })
        });
        for task in creating.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_fit_is_named_with_what_it_lacks() {
    let (databases, _dir) = databases();
    for database in databases {
        let table = table();
        if let Database::Sqlite(path) = &database {
            std::fs::write(path, "").unwrap();
        }
        let error = database.store().table(&table).open().await.unwrap_err().to_string();
        assert!(error.contains("has no table") && error.contains("`migrate`"), "{error}");
        database.store().table(&table).migrate().await.unwrap();
        database.sql(format!("ALTER TABLE {table} RENAME COLUMN idle TO idle_time")).await;
        let error = database.store().table(&table).open().await.unwrap_err().to_string();
        assert!(error.contains("lacks idle;"), "{error}");
        let error = database.store().table("a b").open().await.unwrap_err().to_string();
        assert!(error.contains("setting `table` is \"a b\""), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_can_be_in_a_schema() {
    let postgres = Database::postgres(2);
    postgres.sql("CREATE SCHEMA web").await;
    let store = postgres.store().schema("web").create().await.unwrap();
    created(&store, &id(), &record(b"1")).await;
    postgres.sql("SELECT id FROM web.sessions").await;
    let (mysql, other) = (Database::mysql(2), Server::shared(Product::MariaDb).database());
    let store = mysql.store().schema(&other).create().await.unwrap();
    created(&store, &id(), &record(b"1")).await;
    mysql.sql(format!("SELECT id FROM {other}.sessions")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_of_several_processes_remove_each_session_once() {
    let (databases, _dir) = databases();
    for database in databases {
        let (table, clock) = (table(), session_layer::conformance::manual_clock());
        let settings = || database.store().table(&table).clock(clock.clone());
        let stores = [settings().create().await.unwrap(), settings().open().await.unwrap()];
        let expired = record(b"1");
        for n in 0..1_300 {
            let life = Duration::from_secs(if n < 1_200 { 10 } else { 1_000 });
            let usage = Usage::keep_for(clock.now(), life);
            stores[0].create(&id(), &expired, usage).await.unwrap();
        }
        clock.advance(Duration::from_secs(11));
        let (one, two) = tokio::join!(stores[0].sweep(), stores[1].sweep());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(one.deleted + two.deleted <= 1_200);
        // One sweep may have stopped early because the other was ahead of it.
        let rest = stores[0].sweep().await.unwrap();
        assert_eq!(one.deleted + two.deleted + rest.deleted, 1_200, "{one:?} {two:?} {rest:?}");
        assert_eq!(rest.remaining, 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touched_session_is_not_swept() {
    let (databases, _dir) = databases();
    for database in databases {
        let clock = session_layer::conformance::manual_clock();
        let store = database.store().table(table()).clock(clock.clone()).create().await.unwrap();
        let (id, record) = (id(), record(b"1"));
        store.create(&id, &record, Usage::keep_for(clock.now(), Duration::from_secs(10))).await.unwrap();
        for _ in 0..5 {
            clock.advance(Duration::from_secs(9));
            store.touch(&id, Usage::keep_for(clock.now(), Duration::from_secs(10))).await.unwrap();
            let swept = store.sweep().await.unwrap();
            assert_eq!((swept.deleted, swept.remaining), (0, 1));
        }
        clock.advance(Duration::from_secs(11));
        let swept = store.sweep().await.unwrap();
        assert_eq!((swept.deleted, swept.remaining), (1, 0));
    }
}

/// A future that is dropped outside a runtime must not panic.
#[test]
fn a_future_can_be_dropped_outside_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(async { Database::postgres(2).store().table(table()).create().await.unwrap() });
    for _ in 0..20 {
        let id = id();
        let mut load = Box::pin(store.load(&id));
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = &mut load => {}
                () = tokio::task::yield_now() => {}
            }
        });
        drop(load);
    }
    assert!(runtime.block_on(store.load(&id())).unwrap().is_none());
    runtime.block_on(store.close()).unwrap();
    assert!(Clock::system().now() > SystemTime::UNIX_EPOCH);
}

/// Touches and updates of a session don't change an index.
#[tokio::test(flavor = "multi_thread")]
async fn touches_and_updates_are_heap_only_in_postgres() {
    let server = Server::shared(Product::Postgres);
    let name = server.database();
    let store = Database::postgres_at(&server.url(&name), 1).store().create().await.unwrap();
    let epoch = store.ensure_epoch("alice", Usage::keep_for(SystemTime::now(), Duration::from_secs(60))).await.unwrap();
    let (id, record) = (id(), owned("alice", epoch.to_u64()));
    let mut version = created(&store, &id, &record).await;
    for n in 0..20 {
        let later = SystemTime::now() + Duration::from_secs(n);
        store.touch(&id, Usage::at(&record, later)).await.unwrap();
        match store.update(&id, &record, &version, Usage::at(&record, later)).await.unwrap() {
            Update::Updated(new) => version = new,
            other => panic!("nobody else writes: {other:?}"),
        }
    }
    store.close().await.unwrap();
    let counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'";
    crate::server::wait_until("the updates are counted", || server.sql(&name, counts).starts_with("40\t"));
    // A page has room for a few versions of the row. An update that moves to another page isn't heap-only.
    let counted = server.sql(&name, counts);
    let hot: u32 = counted.split('\t').nth(1).unwrap().parse().unwrap();
    assert!(hot >= 36, "{counted}");
}

/// A store's own connections close with the store; a pool that was passed to it stays open.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_pool_of_its_own_is_closed_with_a_store() {
    let server = Server::shared(Product::Postgres);
    let url = server.url(&server.database());
    let Database::Postgres(pool) = Database::postgres_at(&url, 2) else { unreachable!() };
    let given = SqlStore::postgres(pool.clone()).create().await.unwrap();
    given.close().await.unwrap();
    assert!(!pool.is_closed());
    let builder = SqlStore::postgres_with(url.parse().unwrap(), 2);
    builder.clone().migrate().await.unwrap();
    let own = builder.open().await.unwrap();
    own.close().await.unwrap();
    let error = own.load(&id()).await.unwrap_err();
    assert_eq!(error.kind(), session_layer::store::StoreErrorKind::Unavailable);
    assert!(given.load(&id()).await.unwrap().is_none());
}
