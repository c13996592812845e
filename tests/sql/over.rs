//! The conformance kit under special conditions: behind PgBouncer, with the server's clock an hour off, and as a user
//! with only the documented rights.

use std::time::Duration;

use session_layer::{
    Clock, SqlStore,
    conformance::{self, Harness},
    store::{SqlStoreBuilder, SqlStoreError},
};
use sqlx::{MySqlPool, PgPool, mysql::MySqlPoolOptions, postgres::PgPoolOptions};

use crate::{
    kit::{self, How, PREPARED},
    server::{Bouncer, PASSWORD, Product, Server, Setup, fresh_name},
    support::Database,
};

/// A store over a fresh table, and a second handle on it. `creator` creates the table, since the store's user may not.
async fn limited(builder: impl Fn() -> SqlStoreBuilder, creator: impl Fn() -> SqlStoreBuilder) -> Harness {
    let (table, clock) = (fresh_name("sessions"), conformance::manual_clock());
    let created: Result<_, SqlStoreError> = creator().table(&table).migrate().await;
    created.unwrap_or_else(|error| panic!("{error}"));
    let open = async |clock: Clock| {
        let opened = builder().table(&table).clock(clock).sweep_interval(None).record_limit(300_000).open().await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    };
    let (store, twin): (SqlStore, SqlStore) = (open(clock.clone()).await, open(clock.clone()).await);
    Harness::new(store, clock).twin(twin).expects_all().rounds(10).holds(200_000).refuses(400_000)
}

async fn postgres_pool(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new().max_connections(connections).connect(url).await.expect("a server")
}

async fn mysql_pool(url: &str, connections: u32) -> MySqlPool {
    MySqlPoolOptions::new().max_connections(connections).connect(url).await.expect("a server")
}

/// Runs the kit over PgBouncer in transaction mode, which shares two server connections between all clients.
async fn behind_a_bouncer(connections: u32) {
    let server = Server::shared(Product::Postgres);
    // Needed by every application over sqlx, which sends this parameter when it connects.
    let bouncer = Bouncer::start(server, &["ignore_startup_parameters = extra_float_digits"]);
    let url = bouncer.url(&server.database());
    // Other clients use the bouncer's connections too, with their own statements.
    let others = PgPoolOptions::new().max_connections(4).connect_lazy(&url).expect("a URL");
    let noise = tokio::spawn(async move {
        loop {
            sqlx::raw_sql("SELECT 1; SELECT 2").execute(&others).await.expect("it answers");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (one, twin) = (Database::postgres_at(&url, connections), Database::postgres_at(&url, connections));
    conformance::run(async || kit::harness(&one, Some(&twin), How { prepared: false, ..PREPARED }).await)
        .await
        .assert_passed();
    assert!(!noise.is_finished(), "the others' statements were answered");
    noise.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_twenty_behind_a_bouncer_passes_the_kit() {
    behind_a_bouncer(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_one_behind_a_bouncer_passes_the_kit() {
    behind_a_bouncer(1).await;
}

/// The table is partitioned as the documentation recommends for many sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_table_of_postgres_passes_the_kit() {
    let server = Server::shared(Product::Postgres);
    let pool = postgres_pool(&server.url(&server.database()), 8).await;
    let open = async || {
        let (table, clock) = (fresh_name("sessions"), conformance::manual_clock());
        let builder = || SqlStore::postgres(pool.clone()).table(&table).clock(clock.clone()).sweep_interval(None);
        let plain = builder().schema_sql().expect("a name");
        let parted = plain.replace(") WITH (fillfactor = 80);", ") PARTITION BY HASH (id);");
        assert_ne!(plain, parted);
        let parts = (0..4).map(|n| {
            format!(
                "CREATE TABLE {table}_{n} PARTITION OF {table} FOR VALUES WITH (MODULUS 4, REMAINDER {n}) WITH (fillfactor = \
                 80);"
            )
        });
        let text = parted + &parts.collect::<String>();
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&pool).await.expect("it may");
        // Both accept the existing table.
        let (store, twin) = (builder().open().await.expect("it fits"), builder().create().await.expect("it fits"));
        Harness::new(store, clock.clone()).twin(twin).expects_all().rounds(10)
    };
    conformance::run(open).await.assert_passed();
}

async fn an_hour_off(product: Product, clock: &str) {
    let server = Server::start_with(product, Setup { clock: Some(clock), ..Setup::default() });
    let url = server.url(&server.database());
    let database = match product {
        Product::Postgres => Database::postgres_at(&url, 8),
        Product::MariaDb => Database::mysql_at(&url, 8),
    };
    conformance::run(async || kit::harness(&database, Some(&database), PREPARED).await).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_clock_is_an_hour_ahead_passes_the_kit() {
    an_hour_off(Product::Postgres, "+3600s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_clock_is_an_hour_behind_passes_the_kit() {
    an_hour_off(Product::Postgres, "-3600s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_whose_clock_is_an_hour_ahead_passes_the_kit() {
    an_hour_off(Product::MariaDb, "+3600s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_whose_clock_is_an_hour_behind_passes_the_kit() {
    an_hour_off(Product::MariaDb, "-3600s").await;
}

/// The rights that the documentation lists.
const POSTGRES_RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE";
const MYSQL_RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE";

/// A user with a password and only the documented rights, on tables that another user created.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_on_postgres() {
    let server = Server::shared(Product::Postgres);
    let (database, user) = (server.database(), fresh_name("limited"));
    server.sql(
        &database,
        &format!(
            "CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'; GRANT with_password TO {user}; \
             REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {user}; \
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {POSTGRES_RIGHTS} ON TABLES TO {user}"
        ),
    );
    let creator = postgres_pool(&server.url(&database), 2).await;
    let rights = postgres_pool(&server.url_as(&format!("{user}:{PASSWORD}"), &database), 8).await;
    let none = SqlStore::postgres(rights.clone()).table("not_allowed").migrate().await.expect_err("it may not");
    assert!(none.to_string().contains("grant the rights"), "{none}");
    let open = || limited(|| SqlStore::postgres(rights.clone()), || SqlStore::postgres(creator.clone()));
    conformance::run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_on_mariadb() {
    let server = Server::shared(Product::MariaDb);
    let (database, user) = (server.database(), fresh_name("limited"));
    server.sql(
        &database,
        &format!(
            "CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT {MYSQL_RIGHTS} ON {database}.* TO {user}@'%'"
        ),
    );
    let creator = mysql_pool(&server.url(&database), 2).await;
    let rights = mysql_pool(&server.url_as(&format!("{user}:{PASSWORD}"), &database), 8).await;
    let none = SqlStore::mysql(rights.clone()).table("not_allowed").migrate().await.expect_err("it may not");
    assert!(none.to_string().contains("grant the rights"), "{none}");
    let open = || limited(|| SqlStore::mysql(rights.clone()), || SqlStore::mysql(creator.clone()));
    conformance::run(open).await.assert_passed();
}

/// The tests above grant exactly the rights in the documentation.
#[test]
fn the_documentation_lists_these_rights() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/sql");
    let files = std::fs::read_dir(folder).expect("the sources").flatten();
    let text: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    assert!(text.contains(&format!("GRANT {POSTGRES_RIGHTS} ON")), "PostgreSQL's are not documented");
    assert!(text.contains(&format!("GRANT {MYSQL_RIGHTS} ON")), "MySQL's are not documented");
}

/// Without a right, the operation that needs it fails and says what to do; others work.
#[tokio::test]
async fn a_missing_right_is_named() {
    use session_layer::{SessionStore, store::StoreErrorKind};
    let server = Server::shared(Product::Postgres);
    let (database, user) = (server.database(), fresh_name("limited"));
    let creator = postgres_pool(&server.url(&database), 1).await;
    SqlStore::postgres(creator).migrate().await.expect("it may");
    server.sql(&database, &format!("CREATE ROLE {user} LOGIN; GRANT SELECT, INSERT ON sessions TO {user}"));
    let pool = postgres_pool(&server.url_as(&user, &database), 1).await;
    let store = SqlStore::postgres(pool).sweep_interval(None).open().await.expect("it may read");
    let id = crate::support::id();
    assert!(store.load(&id).await.expect("it may read").is_none());
    let error = store.remove(&id).await.expect_err("it may not");
    assert_eq!(error.kind(), StoreErrorKind::Other);
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("permission denied") && cause.contains("grant the rights"), "{cause}");
}
