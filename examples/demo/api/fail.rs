//! Fails on request.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use crate::{
    error::{Error, Result},
    extract::{Query, Visitor},
};

#[derive(Deserialize)]
pub(crate) struct Wanted {
    status: u16,
}

/// `GET /api/fail?status=N`: sets the entry `failed`, then answers with that status. The changes of a 5xx are dropped.
pub(crate) async fn fail(Query(wanted): Query<Wanted>, Visitor(session): Visitor) -> Result<Response> {
    // 1xx is not a final answer, and there are no codes beyond 599 (RFC 9110, section 15).
    let status = match StatusCode::from_u16(wanted.status) {
        Ok(status) if (200..600).contains(&wanted.status) => status,
        _ => return Err(Error::bad_request("status is 200 to 599")),
    };
    session.insert("failed", true)?;
    if status.is_client_error() || status.is_server_error() {
        return Err(Error::new(status, "as you wish"));
    }
    Ok(status.into_response())
}
