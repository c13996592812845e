//! axum_session without a database.

use ::axum_session::{SessionConfig, SessionNullPool, SessionStore};
use axum::Router;
use bench_support::handlers;

use crate::app::App;

pub(crate) async fn router(app: App) -> Router {
    let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await.expect("good settings");
    handlers::axum_session::router(store, app)
}
