//! The subjects: a router for each, with the routes of [`bench_support::handlers`]. The bare statements have only those that
//! are measured.

mod axum_session;
mod bare;
mod kind;
mod session_layer;
mod tower_sessions;

use axum::Router;

pub(crate) use self::kind::{ALL, BARE, Kind, OWN, PEERS};

/// The size of each pool of connections to PostgreSQL.
const CONNECTIONS: u32 = 16;

/// Returns a subject's router, over the URL of a database or the path of a file.
pub(crate) async fn router(kind: Kind, place: &str) -> Router {
    match kind {
        Kind::Own | Kind::OwnOverAPool | Kind::OwnSqlite => session_layer::router(kind, place).await,
        Kind::Tower => tower_sessions::postgres(place).await,
        Kind::TowerSqlite => tower_sessions::sqlite(place).await,
        Kind::Axum | Kind::AxumInMemory => axum_session::postgres(kind, place).await,
        Kind::AxumSqlite => axum_session::sqlite(place).await,
        Kind::Bare => bare::postgres(place).await,
        Kind::BareSqlite => bare::sqlite(place).await,
    }
}
