//! Helpers for these tests.

use std::path::PathBuf;
use std::time::Duration;

use session_layer::{SessionId, SqlStore, store::SqlStoreBuilder};
use sqlx::{
    mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use crate::server::{Product, Server, fresh_name};
pub use crate::sessions::*;

/// More time than a debug build needs on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A database of one of the products.
#[derive(Clone)]
pub enum Database {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(PathBuf),
    Memory,
}

impl Database {
    /// A fresh database on the shared server, with a pool of this number of connections.
    pub fn postgres(connections: u32) -> Self {
        let server = Server::shared(Product::Postgres);
        Self::postgres_at(&server.url(&server.database()), connections)
    }

    pub fn postgres_at(url: &str, connections: u32) -> Self {
        // PgBouncer refuses this setting.
        let options = url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None);
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(LIMIT);
        Self::Postgres(pool.connect_lazy_with(options))
    }

    pub fn mysql(connections: u32) -> Self {
        let server = Server::shared(Product::MariaDb);
        Self::mysql_at(&server.url(&server.database()), connections)
    }

    pub fn mysql_at(url: &str, connections: u32) -> Self {
        let options: MySqlConnectOptions = url.parse().unwrap();
        let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(LIMIT);
        Self::MySql(pool.connect_lazy_with(options))
    }

    /// The builder of a store over it, without the sweeping task.
    pub fn store(&self) -> SqlStoreBuilder {
        let builder = match self {
            Self::Postgres(pool) => SqlStore::postgres(pool.clone()),
            Self::MySql(pool) => SqlStore::mysql(pool.clone()),
            Self::Sqlite(path) => SqlStore::sqlite(path),
            Self::Memory => SqlStore::sqlite_in_memory(),
        };
        builder.request_timeout(LIMIT).sweep_interval(None)
    }

    /// Runs statements outside the store.
    pub async fn sql(&self, statements: impl Into<String>) {
        let statements = sqlx::AssertSqlSafe(statements.into());
        match self {
            Self::Postgres(pool) => drop(sqlx::raw_sql(statements).execute(pool).await.unwrap()),
            Self::MySql(pool) => drop(sqlx::raw_sql(statements).execute(pool).await.unwrap()),
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                connection.execute_batch(&statements.0).unwrap();
            }
            Self::Memory => panic!("nobody else sees it"),
        }
    }

    /// An id as an SQL literal.
    pub fn literal(&self, id: &SessionId) -> String {
        let digits: String = id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Postgres(_) => format!("'\\x{digits}'::bytea"),
            _ => format!("x'{digits}'"),
        }
    }
}

/// A table name that nothing else in this process uses.
pub fn table() -> String {
    fresh_name("sessions")
}
