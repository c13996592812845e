//! tower-sessions over tower-sessions-sqlx-store.

use axum::Router;
use bench_support::{app::App, handlers::tower_sessions::of_moka, shape::Shape};
use tower_sessions_sqlx_store::{
    PostgresStore, SqliteStore,
    sqlx::{
        postgres::PgPoolOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::CONNECTIONS;

pub(super) async fn postgres(url: &str) -> Router {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    of_moka::router(store, App::new(Shape::Reference))
}

pub(super) async fn sqlite(path: &str) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let store = SqliteStore::new(SqlitePoolOptions::new().connect_with(options).await.unwrap());
    store.migrate().await.unwrap();
    of_moka::router(store, App::new(Shape::Reference))
}
