//! axum_session over sqlx.

use ::axum_session::{SessionConfig, SessionStore};
use axum::Router;
use axum_session_sqlx::{SessionPgPool, SessionSqlitePool};
use bench_support::{app::App, handlers, shape::Shape};
use sqlx::{
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{CONNECTIONS, Kind};

/// Reads the session from the database on each request, as is necessary with several processes.
fn config(kind: Kind) -> SessionConfig {
    let config = SessionConfig::default();
    if kind == Kind::AxumInMemory { config } else { config.with_memory_lifetime(time::Duration::ZERO) }
}

pub(super) async fn postgres(kind: Kind, url: &str) -> Router {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.unwrap();
    let store = SessionStore::<SessionPgPool>::new(Some(pool.into()), config(kind)).await.unwrap();
    handlers::axum_session::router(store, App::new(Shape::Reference))
}

pub(super) async fn sqlite(path: &str) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let store = SessionStore::<SessionSqlitePool>::new(Some(pool.into()), config(Kind::AxumSqlite)).await.unwrap();
    handlers::axum_session::router(store, App::new(Shape::Reference))
}
