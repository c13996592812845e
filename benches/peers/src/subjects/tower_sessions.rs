//! tower-sessions, once over its memory store and once, in the release that it is made for, over its moka store.

use axum::Router;
use bench_support::handlers::tower_sessions::{newest, of_moka};

use crate::app::App;

pub(crate) fn memory(app: App) -> Router {
    newest::router(::tower_sessions::MemoryStore::default(), app)
}

pub(crate) fn moka(app: App) -> Router {
    of_moka::router(tower_sessions_moka_store::MokaStore::new(None), app)
}
