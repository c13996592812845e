//! What is compared: one router each, with the same routes, by each library's own means.
//!
//! | route | what its handler does |
//! |---|---|
//! | `/fill` | fills a session with all entries |
//! | `/read` | decodes `user` |
//! | `/write` | reads `n` and writes `n + 1` |
//! | `/create` | sets `n`; its visitor has no cookie |

/// A router over the handlers of the module in which this is called.
macro_rules! routes {
    () => {
        axum::Router::new()
            .route("/fill", get(fill))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/create", get(create))
    };
}

mod axum_session;
mod bare;
mod kind;
mod session_layer;
mod tower_sessions;

use axum::Router;

pub(crate) use self::kind::{ALL, BARE, Kind, OWN, PEERS};

/// Connections of each pool to PostgreSQL.
const CONNECTIONS: u32 = 16;

/// The subject, over the URL of a database or the path of a file.
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
