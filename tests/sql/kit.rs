//! The conformance kit over the SQL store: alone, sealed, cached, with small and large pools, and with files.

use session_layer::{
    CachedStore, EncryptedStore, KeyRing, Secret,
    conformance::{self, Harness, fault::Bare},
    store::SqlStore,
};

use crate::{
    server::{Bouncer, Product, Server},
    support::{Database, table},
};

/// How the kit opens a store and damages its rows.
#[derive(Clone, Copy)]
pub struct How {
    pub prepared: bool,
    /// Whether damaging a row also changes its version.
    pub new_version: bool,
}

pub const PREPARED: How = How { prepared: true, new_version: false };

/// A harness over a fresh table. The twin has its own pool or threads.
pub async fn harness(database: &Database, twin: Option<&Database>, how: How) -> Harness {
    let How { prepared, new_version } = how;
    let (clock, table) = (conformance::manual_clock(), table());
    let settings = |database: &Database| {
        let builder = database.store().table(table.clone()).clock(clock.clone());
        builder.record_limit(2_000_000).prepared_statements(prepared)
    };
    let harness = Harness::new(settings(database).create().await.unwrap(), clock.clone())
        .expects_all()
        .holds(1_000_000)
        .refuses(2_000_001)
        .rounds(25);
    let harness = match twin {
        Some(twin) => harness.twin(settings(twin).open().await.unwrap()),
        None => harness,
    };
    if matches!(database, Database::Memory) {
        return harness;
    }
    let (damaged, away) = (database.clone(), database.clone());
    let (table, moved) = (table.clone(), table);
    harness
        .damage(move |id| {
            let (database, bytes) = (damaged.clone(), damaged.literal(&id));
            // A cache notices by the version that its copy is no longer the stored record.
            let version = if new_version { format!(", version = {bytes}") } else { String::new() };
            let text = format!("UPDATE {table} SET record = {bytes}{version} WHERE id = {bytes}");
            async move { database.sql(text).await }
        })
        .outage(move |down| {
            let (database, table) = (away.clone(), moved.clone());
            async move {
                let (from, to) =
                    if down { (table.clone(), format!("{table}_away")) } else { (format!("{table}_away"), table) };
                database.sql(format!("ALTER TABLE {from} RENAME TO {to}")).await;
            }
        })
}

async fn passes(database: Database, twin: Option<Database>) {
    conformance::run(async || harness(&database, twin.as_ref(), PREPARED).await).await.assert_passed();
}

async fn passes_wrapped(database: Database, twin: Option<Database>) {
    let ring = || KeyRing::new(Secret::from_bytes(*b"q7%RkZ2!vX9@pL4#nT6^wB8&yH1*sD3(").unwrap());
    let sealed =
        async || harness(&database, twin.as_ref(), PREPARED).await.wrap(|store| EncryptedStore::new(store, ring()));
    conformance::run(sealed).await.assert_passed();
    let how = How { new_version: true, ..PREPARED };
    let cached = async || harness(&database, twin.as_ref(), how).await.wrap(CachedStore::new);
    conformance::run(cached).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_over_pools_of_twenty_connections() {
    let server = Server::shared(Product::Postgres);
    let url = server.url(&server.database());
    passes(Database::postgres_at(&url, 20), Some(Database::postgres_at(&url, 20))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_over_pools_of_one_connection() {
    let server = Server::shared(Product::Postgres);
    let url = server.url(&server.database());
    passes(Database::postgres_at(&url, 1), Some(Database::postgres_at(&url, 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_sealed_and_cached() {
    passes_wrapped(Database::postgres(4), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_at_the_serializable_level() {
    let server = Server::shared(Product::Postgres);
    let name = server.database();
    server.sql(&name, &format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"));
    let url = server.url(&name);
    passes(Database::postgres_at(&url, 5), Some(Database::postgres_at(&url, 5))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_without_prepared_statements_through_pgbouncer() {
    let server = Server::shared(Product::Postgres);
    let name = server.database();
    let bouncer = Bouncer::start(server, &[]);
    let database = Database::postgres_at(&bouncer.url(&name), 20);
    conformance::run(async || harness(&database, Some(&database), How { prepared: false, ..PREPARED }).await)
        .await
        .assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_passes_over_pools_of_twenty_connections() {
    let server = Server::shared(Product::MariaDb);
    let url = server.url(&server.database());
    passes(Database::mysql_at(&url, 20), Some(Database::mysql_at(&url, 20))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_passes_over_pools_of_one_connection() {
    let server = Server::shared(Product::MariaDb);
    let url = server.url(&server.database());
    passes(Database::mysql_at(&url, 1), Some(Database::mysql_at(&url, 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_passes_sealed_and_cached() {
    passes_wrapped(Database::mysql(4), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_passes_at_every_isolation_level() {
    let server = Server::shared(Product::MariaDb);
    for level in ["READ UNCOMMITTED", "READ COMMITTED", "SERIALIZABLE"] {
        let url = server.url(&server.database());
        let pool = || {
            let options =
                sqlx::mysql::MySqlPoolOptions::new().max_connections(5).after_connect(move |connection, _| {
                    Box::pin(async move {
                        let text = format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}");
                        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(connection).await.map(drop)
                    })
                });
            Database::MySql(options.connect_lazy(&url).unwrap())
        };
        passes(pool(), Some(pool())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_over_a_file_with_two_stores_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("sessions.db"));
    passes(database.clone(), Some(database)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_in_memory() {
    passes(Database::Memory, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_sealed_and_cached() {
    let dir = tempfile::tempdir().unwrap();
    passes_wrapped(Database::Sqlite(dir.path().join("sessions.db")), None).await;
}

/// The five required methods, with the provided methods on top of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_required_methods_alone_pass() {
    let databases = [Database::postgres(4), Database::mysql(4), Database::Memory];
    for database in &databases {
        let open = async || {
            let clock = conformance::manual_clock();
            let store: SqlStore = database.store().table(table()).clock(clock.clone()).create().await.unwrap();
            Harness::new(Bare(store), clock).rounds(10)
        };
        conformance::run(open).await.assert_passed();
    }
}
