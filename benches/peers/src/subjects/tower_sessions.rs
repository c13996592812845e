//! tower-sessions: over its memory store, and over its moka store in the release that the latter supports.

use axum::Router;
use bench_support::handlers::tower_sessions::{newest, of_moka};

use crate::app::App;

pub(crate) fn memory(app: App) -> Router {
    newest::router(::tower_sessions::MemoryStore::default(), app)
}

pub(crate) fn moka(app: App) -> Router {
    of_moka::router(tower_sessions_moka_store::MokaStore::new(None), app)
}
