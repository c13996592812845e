//! This crate.

use axum::Router;
use bench_support::{app::App, handlers, shape::Shape};
use session_layer::{SessionLayer, SqlStore};
use sqlx::postgres::PgPoolOptions;

use super::{CONNECTIONS, Kind};

pub(super) async fn router(kind: Kind, place: &str) -> Router {
    let builder = match kind {
        Kind::OwnSqlite => SqlStore::sqlite(place),
        Kind::OwnOverAPool => {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(place).await.unwrap();
            SqlStore::postgres(pool)
        }
        _ => SqlStore::postgres_with(place.parse().unwrap(), CONNECTIONS),
    };
    let layer = SessionLayer::new(builder.create().await.unwrap());
    handlers::session_layer::router(layer, App::new(Shape::Reference))
}
