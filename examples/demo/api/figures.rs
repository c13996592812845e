//! The operator's figures.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
};

use crate::figures::{Board, Numbers};

/// `GET /api/figures`: the operator's page polls it. It uses no session, so a page that is left open keeps no session
/// alive.
pub(crate) async fn figures(State(board): State<Board>) -> Json<Numbers> {
    Json(board.numbers().await)
}

/// `GET /metrics`: the metrics in Prometheus' text format.
pub(crate) async fn metrics(State(board): State<Board>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], board.metrics().await)
}
