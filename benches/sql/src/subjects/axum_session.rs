//! axum_session over sqlx.

use ::axum_session::{SessionConfig, SessionLayer, SessionStore};
use axum::{Router, routing::get};
use axum_session_sqlx::{SessionPgPool, SessionSqlitePool};
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
    over_postgres::routes().layer(SessionLayer::new(store))
}

pub(super) async fn sqlite(path: &str) -> Router {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let store = SessionStore::<SessionSqlitePool>::new(Some(pool.into()), config(Kind::AxumSqlite)).await.unwrap();
    over_sqlite::routes().layer(SessionLayer::new(store))
}

/// The same handlers for different pool types.
macro_rules! over {
    ($name:ident, $pool:ident) => {
        mod $name {
            use std::hint::black_box;

            use super::*;
            use bench_support::{
                content::{Content, User},
                shape::Shape,
            };

            type Session = ::axum_session::Session<$pool>;

            pub(super) fn routes() -> Router {
                routes!()
            }

            async fn fill(session: Session) -> &'static str {
                let content = Content::of(Shape::Reference);
                session.set("user", &content.user);
                session.set("cart", &content.cart);
                session.set("csrf", content.csrf);
                session.set("n", 0);
                "ok"
            }

            async fn read(session: Session) -> &'static str {
                black_box(session.get::<User>("user").expect("it is filled"));
                "ok"
            }

            async fn write(session: Session) -> &'static str {
                let n = session.get::<u64>("n").expect("it is filled");
                session.set("n", n + 1);
                "ok"
            }

            async fn create(session: Session) -> &'static str {
                session.set("n", 1);
                "ok"
            }
        }
    };
}

over!(over_postgres, SessionPgPool);
over!(over_sqlite, SessionSqlitePool);
