//! tower-sessions over tower-sessions-sqlx-store.

use std::hint::black_box;

use ::tower_sessions::{Session, SessionManagerLayer, session::Error};
use axum::{Router, routing::get};
use http::StatusCode;
use tower_sessions_sqlx_store::{
    PostgresStore, SqliteStore,
    sqlx::{
        postgres::PgPoolOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::CONNECTIONS;
use bench_support::{
    content::{Content, User},
    shape::Shape,
};

type Answer = Result<&'static str, StatusCode>;

pub(super) async fn postgres(url: &str) -> Router {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    routes!().layer(SessionManagerLayer::new(store))
}

pub(super) async fn sqlite(path: &str) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let store = SqliteStore::new(SqlitePoolOptions::new().connect_with(options).await.unwrap());
    store.migrate().await.unwrap();
    routes!().layer(SessionManagerLayer::new(store))
}

fn failed(error: Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn fill(session: Session) -> Answer {
    let content = Content::of(Shape::Reference);
    session.insert("user", &content.user).await.map_err(failed)?;
    session.insert("cart", &content.cart).await.map_err(failed)?;
    session.insert("csrf", content.csrf).await.map_err(failed)?;
    session.insert("n", 0).await.map_err(failed)?;
    Ok("ok")
}

async fn read(session: Session) -> Answer {
    black_box(session.get::<User>("user").await.map_err(failed)?.expect("it is filled"));
    Ok("ok")
}

async fn write(session: Session) -> Answer {
    let n = session.get::<u64>("n").await.map_err(failed)?.expect("it is filled");
    session.insert("n", n + 1).await.map_err(failed)?;
    Ok("ok")
}

async fn create(session: Session) -> Answer {
    session.insert("n", 1).await.map_err(failed)?;
    Ok("ok")
}
