//! What an operator sees.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
};

use crate::figures::{Board, Numbers};

/// `GET /api/figures`: the operator's page asks for it again and again. It asks for no session, so that a page left open
/// keeps none alive.
pub(crate) async fn figures(State(board): State<Board>) -> Json<Numbers> {
    Json(board.numbers().await)
}

/// `GET /metrics`: in Prometheus' text form.
pub(crate) async fn metrics(State(board): State<Board>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], board.metrics().await)
}
