//! What an operator sees.

use axum::{Json, extract::State};

use crate::figures::{Board, Numbers};

/// `GET /api/figures`: the operator's page asks for it again and again. It asks for no session, so that a page left open
/// keeps none alive.
pub(crate) async fn figures(State(board): State<Board>) -> Json<Numbers> {
    Json(board.numbers().await)
}
