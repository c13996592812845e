//! Bare statements by key, over the same kind of pool.

use std::time::Duration;

use axum::Router;
use bench_support::handlers::bare;
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::CONNECTIONS;

/// The statements, the same for both databases.
const SELECT: &str = "SELECT version, record FROM bare WHERE id = $1";
const UPDATE: &str = "UPDATE bare SET version = $1, record = $2 WHERE id = $3 AND version = $4";
const INSERT: &str = "INSERT INTO bare (id, version, record) VALUES ($1, $2, $3)";

pub(super) async fn postgres(url: &str) -> Router {
    let options = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = options.connect(url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE bare (id BYTEA PRIMARY KEY, version BYTEA NOT NULL, record BYTEA NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    bare::router(Postgres(pool))
}

pub(super) async fn sqlite(path: &str) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new().test_before_acquire(false).connect_with(options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE bare (id BLOB PRIMARY KEY, version BLOB NOT NULL, record BLOB NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    bare::router(Sqlite(pool))
}

macro_rules! over {
    ($($name:ident($pool:ident))*) => {
        $(
            #[derive(Clone)]
            struct $name($pool);

            impl bare::Bare for $name {
                async fn insert(&self, id: Vec<u8>, version: Vec<u8>, record: Vec<u8>) {
                    sqlx::query(INSERT).bind(id).bind(version).bind(record).execute(&self.0).await.unwrap();
                }

                async fn select(&self, id: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
                    sqlx::query_as(SELECT).bind(id).fetch_one(&self.0).await.unwrap()
                }

                async fn update(&self, id: Vec<u8>, before: Vec<u8>, version: Vec<u8>, record: Vec<u8>) -> bool {
                    let update = sqlx::query(UPDATE).bind(version).bind(record).bind(id).bind(before);
                    update.execute(&self.0).await.unwrap().rows_affected() == 1
                }
            }
        )*
    };
}

over! {
    Postgres(PgPool)
    Sqlite(SqlitePool)
}
