//! Requests that a server refuses: their outcome, their message, and that the store works again afterwards.

use std::{
    error::Error,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use session_layer::{
    DynStore, SessionStore, connect,
    store::{StoreError, StoreErrorKind, Update},
};

use crate::{
    server::{Bouncer, Product, Server, Setup, wait_until},
    support::*,
};

fn cause(error: &StoreError) -> String {
    error.source().expect("a cause").to_string()
}

/// A store on a separate server, as a user that isn't a superuser.
async fn own(product: Product, arguments: &[&str], options: &str) -> (Server, String, DynStore) {
    let server = Server::start(product, arguments);
    let database = server.database();
    match product {
        Product::Postgres => {
            server.sql(&database, "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app");
        }
        Product::MariaDb => {
            server.sql(&database, &format!("CREATE USER app@'%'; GRANT ALL ON {database}.* TO app@'%'"));
        }
    }
    let url = server.url_as("app", &database);
    // The first requests to a new server may take longer than a test's short time limit. So create the table with the
    // default limit, and then open the store with the short one until that succeeds.
    open(&format!("{url}?create=yes")).await.close().await.expect("it is closed");
    let url = format!("{url}?{options}");
    let mut opened = connect(&url).await;
    let start = Instant::now();
    while opened.is_err() && start.elapsed() < LIMIT {
        opened = connect(&url).await;
    }
    (server, database, opened.unwrap_or_else(|error| panic!("{error}")))
}

async fn serves_again(store: &DynStore) {
    let (id, first) = (id(), numbered(1));
    let serves = async {
        while store.create(&id, &first, usage(&first)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), serves).await.expect("the server is back and does not serve");
}

/// A session of the server's own client that holds a lock until this is dropped.
struct Holding(Child);

impl Holding {
    fn start(server: &Server, database: &str, statements: &str) -> Self {
        let (option, sleep) = match server.product() {
            Product::Postgres => ("-c", "SELECT pg_sleep(600)"),
            Product::MariaDb => ("-e", "SELECT SLEEP(600)"),
        };
        let mut client = server.client(database);
        let child =
            client.args([option, &format!("{statements}; {sleep}")]).stdout(Stdio::null()).stderr(Stdio::null());
        let holding = Self(child.spawn().expect("a client"));
        let waits = match server.product() {
            Product::Postgres => "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
            Product::MariaDb => "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'",
        };
        wait_until("the lock is held", || server.sql(database, waits) == "1");
        holding
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }
}

/// Ends the sessions that hold locks, even if their clients are gone.
fn end_holding(server: &Server, holding: Holding) {
    drop(holding);
    match server.product() {
        Product::Postgres => drop(
            server
                .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
        ),
        Product::MariaDb => {
            let of = "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'";
            for id in server.sql("mysql", of).lines() {
                let _ = server.try_sql("mysql", &format!("KILL {id}"));
            }
        }
    }
}

#[tokio::test]
async fn a_read_only_primary_refuses_writes_and_answers_reads() {
    for product in Product::ALL {
        let (server, database, store) = own(product, &[], "connections=1").await;
        let id = id();
        let version = created(&store, &id, &numbered(1)).await;
        match product {
            Product::Postgres => {
                server.sql("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
                server.sql("postgres", end);
            }
            Product::MariaDb => drop(server.sql("mysql", "SET GLOBAL read_only = on")),
        }
        // The first request notices that the connection has ended. It is a read, so it is repeated on another one.
        assert_eq!(number(&loaded(&store, &id).await), 1, "{product:?}");
        let next = numbered(2);
        for error in [
            store.update(&id, &next, &version, usage(&next)).await.unwrap_err(),
            store.create(&crate::support::id(), &next, usage(&next)).await.unwrap_err(),
            store.remove(&id).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{product:?}: {error:?} {}", cause(&error));
            assert!(cause(&error).contains("connect to the primary"), "{product:?}: {}", cause(&error));
        }
        match product {
            Product::Postgres => {
                server.sql("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = off"));
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
                server.sql("postgres", end);
            }
            Product::MariaDb => drop(server.sql("mysql", "SET GLOBAL read_only = off")),
        }
        serves_again(&store).await;
        let held = loaded(&store, &id).await;
        assert_eq!((number(&held), &held.version), (1, &version), "{product:?}: a refused write has changed something");
    }
}

/// The server's own lock timeout: nothing was changed, and the error says so.
#[tokio::test]
async fn a_lock_timeout_is_a_known_outcome() {
    for product in Product::ALL {
        let limit: &[&str] = match product {
            Product::Postgres => &["-c", "lock_timeout=200ms"],
            Product::MariaDb => &["--innodb-lock-wait-timeout=1", "--lock-wait-timeout=1"],
        };
        let (server, database, store) = own(product, limit, "timeout_ms=30000").await;
        let id = id();
        let version = created(&store, &id, &numbered(1)).await;
        let holding = Holding::start(&server, &database, "BEGIN; SELECT 1 FROM sessions FOR UPDATE");
        let next = numbered(2);
        let error = store.update(&id, &next, &version, usage(&next)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{product:?}: {}", cause(&error));
        // Reads are not held up.
        assert_eq!(number(&loaded(&store, &id).await), 1);
        end_holding(&server, holding);
        serves_again(&store).await;
        assert_eq!(loaded(&store, &id).await.version, version);
    }
}

/// The store's time limit while the whole table is locked: the server may execute the write later.
#[tokio::test]
async fn a_locked_table_is_an_error_in_time() {
    for product in Product::ALL {
        let (server, database, store) = own(product, &[], "timeout_ms=400").await;
        let id = id();
        let version = created(&store, &id, &numbered(1)).await;
        let lock = match product {
            Product::Postgres => "BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE",
            Product::MariaDb => "LOCK TABLES sessions WRITE",
        };
        let holding = Holding::start(&server, &database, lock);
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{product:?}: {}", cause(&error));
        let next = numbered(2);
        let error = store.update(&id, &next, &version, usage(&next)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{product:?}: {}", cause(&error));
        end_holding(&server, holding);
        serves_again(&store).await;
        // It was sent once, so it took effect once or not at all.
        let held = loaded(&store, &id).await;
        assert!([1, 2].contains(&number(&held)), "{product:?}");
        assert!(matches!(
            store.update(&id, &numbered(3), &held.version, usage(&next)).await.unwrap(),
            Update::Updated(_) | Update::Conflict(Some(_))
        ));
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_comes_back() {
    for product in Product::ALL {
        let (mut server, _, store) = own(product, &[], "timeout_ms=2000").await;
        let id = id();
        let version = created(&store, &id, &numbered(1)).await;
        server.kill();
        let error = store.load(&id).await.unwrap_err();
        assert!([StoreErrorKind::Unavailable, StoreErrorKind::Timeout].contains(&error.kind()), "{}", cause(&error));
        // No connection is left, so this write is not sent and its outcome is known.
        let next = numbered(2);
        let error = store.update(&id, &next, &version, usage(&next)).await.unwrap_err();
        assert!([StoreErrorKind::Unavailable, StoreErrorKind::Timeout].contains(&error.kind()), "{}", cause(&error));
        server.restart();
        serves_again(&store).await;
        assert_eq!(loaded(&store, &id).await.version, version, "{product:?}");
    }
}

/// A stopped server answers nothing: reads fail with `Timeout`, writes that were sent with `OutcomeUnknown`.
#[tokio::test]
async fn a_stopped_server_is_an_error_in_time() {
    for product in Product::ALL {
        let (server, _, store) = own(product, &[], "timeout_ms=300&connections=4").await;
        let id = id();
        let version = created(&store, &id, &numbered(1)).await;
        server.stop();
        let next = numbered(2);
        let error = store.update(&id, &next, &version, usage(&next)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{product:?}: {}", cause(&error));
        let error = store.load(&id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{product:?}: {}", cause(&error));
        server.resume();
        serves_again(&store).await;
        wait_until("the late write is over", || true);
        assert!([1, 2].contains(&number(&loaded(&store, &id).await)), "{product:?}");
    }
}

/// Other clients have all connections of the server.
#[tokio::test]
async fn too_many_connections_are_a_known_outcome() {
    for product in Product::ALL {
        let few: &[&str] = match product {
            Product::Postgres => &["-c", "max_connections=6", "-c", "superuser_reserved_connections=3"],
            // The smallest number that it accepts; it reserves one more for the superuser.
            Product::MariaDb => &["--max-connections=10"],
        };
        let (server, database, store) = own(product, few, "connections=1&timeout_ms=3000").await;
        let others = server.url_as("app", &database);
        let mut taken = Vec::new();
        let refused = loop {
            match connect(&format!("{others}?connections=1&timeout_ms=2000")).await {
                Ok(store) => taken.push(store),
                Err(error) => break error.to_string(),
            }
            assert!(taken.len() < 20, "{product:?} takes them all");
        };
        let why = match product {
            Product::Postgres => "remaining connection slots are reserved",
            Product::MariaDb => "Too many connections",
        };
        let advice = "raise the server's limit of connections";
        assert!(refused.contains(why) && refused.contains(advice), "{product:?}: {refused}");
        // This store already has its connection, so it is not affected.
        serves_again(&store).await;
    }
}

/// A pool whose connections are all in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_is_a_known_outcome() {
    let (server, database, store) = own(Product::Postgres, &[], "connections=1&timeout_ms=1500").await;
    let id = id();
    let version = created(&store, &id, &numbered(1)).await;
    let holding = Holding::start(&server, &database, "BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.load(&id).await }
    });
    wait_until("the only connection waits", || {
        server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1"
    });
    let next = numbered(2);
    let short = tokio::time::timeout(Duration::from_secs(20), store.update(&id, &next, &version, usage(&next)));
    let error = short.await.expect("it has a limit").unwrap_err();
    // It waited for the connection, and then perhaps for the lock.
    let kinds = [StoreErrorKind::Timeout, StoreErrorKind::OutcomeUnknown];
    assert!(kinds.contains(&error.kind()), "{}", cause(&error));
    assert!(waiting.await.unwrap().is_err());
    end_holding(&server, holding);
    serves_again(&store).await;
}

/// A wrong password, a missing database, and a missing table.
#[tokio::test]
async fn what_can_not_be_opened_says_why_without_the_password() {
    for product in Product::ALL {
        let server = Server::shared(product);
        let database = server.database();
        let user = crate::server::fresh_name("locked_out");
        let with_password = match product {
            Product::Postgres => format!("CREATE ROLE {user} LOGIN PASSWORD 'right'; GRANT with_password TO {user}"),
            Product::MariaDb => {
                format!("CREATE USER {user}@'%' IDENTIFIED BY 'right'; GRANT ALL ON {database}.* TO {user}@'%'")
            }
        };
        server.sql(&database, &with_password);
        let wrong = connect(&server.url_as(&format!("{user}:hunter2"), &database)).await.unwrap_err();
        let (text, debug) = (wrong.to_string(), format!("{wrong:?}"));
        assert!(!text.contains("hunter2") && !debug.contains("hunter2"), "{debug}");
        assert!(text.contains(&user), "{product:?}: {text}");
        let missing = connect(&server.url("no_such_database")).await.unwrap_err().to_string();
        assert!(missing.contains("no_such_database"), "{product:?}: {missing}");
        let missing = connect(&server.url(&database)).await.unwrap_err().to_string();
        assert!(missing.contains("no table") && missing.contains("create=yes"), "{product:?}: {missing}");
        server.sql(&database, "CREATE TABLE sessions (id INT PRIMARY KEY)");
        let other = connect(&server.url(&database)).await.unwrap_err().to_string();
        assert!(other.contains("lacks") && other.contains("expires_at"), "{product:?}: {other}");
    }
}

/// PgBouncer is killed and restarted.
#[tokio::test]
async fn a_bouncer_that_is_down_comes_back() {
    let server = Server::shared(Product::Postgres);
    let (mut bouncer, database) = (Bouncer::start(server, &[]), server.database());
    drop(open(&format!("{}?create=yes", server.url(&database))).await);
    let options = "prepared_statements=no&timeout_ms=2000";
    let store = open(&format!("{}?{options}", bouncer.url(&database))).await;
    let id = id();
    let version = created(&store, &id, &numbered(1)).await;
    bouncer.kill();
    assert!(store.load(&id).await.is_err());
    bouncer.restart();
    serves_again(&store).await;
    assert_eq!(loaded(&store, &id).await.version, version);
}

/// A server's clock that is off changes nothing, since only the application's clock counts.
#[tokio::test]
async fn the_servers_clock_does_not_count() {
    for product in Product::ALL {
        for clock in ["+3600s", "-3600s"] {
            let server = Server::start_with(product, Setup { clock: Some(clock), ..Setup::default() });
            let store = open(&format!("{}?create=yes", server.url(&server.database()))).await;
            let (id, short) = (id(), numbered(1));
            let soon = session_layer::store::Usage::keep_for(std::time::SystemTime::now(), Duration::from_secs(2));
            store.create(&id, &short, soon).await.unwrap();
            assert!(store.load(&id).await.unwrap().is_some(), "{product:?} with {clock}");
            while std::time::SystemTime::now() < soon.expires_at {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(store.load(&id).await.unwrap().is_none(), "{product:?} with {clock}");
        }
    }
}
