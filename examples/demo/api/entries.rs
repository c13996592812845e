//! Reads and changes the session's entries, for anybody who has the session.
//!
//! Each handler extracts the session before the body, so the session is loaded before the body is read.

use axum::{Json, http::StatusCode};
use serde_json::Value;

use super::key::EntryKey;
use crate::{
    error::{Error, Result},
    extract::{Body, Delay, Query, Visitor},
};

/// `GET /api/entries/{key}`: returns the value as JSON.
pub(crate) async fn read(EntryKey(key): EntryKey, Visitor(session): Visitor) -> Result<Json<Value>> {
    let value = session.get::<Value>(&key)?;
    value.map(Json).ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "there is no such entry"))
}

/// `PUT /api/entries/{key}?delay_ms=N`: sets the value to the body, which is JSON.
pub(crate) async fn write(
    EntryKey(key): EntryKey,
    Query(delay): Query<Delay>,
    Visitor(session): Visitor,
    Body(body): Body,
) -> Result<StatusCode> {
    let value: Value =
        serde_json::from_slice(&body).map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    delay.wait().await;
    session.insert(&key, &value)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/entries/{key}?delay_ms=N`: removes the entry.
pub(crate) async fn remove(
    EntryKey(key): EntryKey,
    Query(delay): Query<Delay>,
    Visitor(session): Visitor,
) -> Result<StatusCode> {
    delay.wait().await;
    session.remove(&key)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/counters/{key}?delay_ms=N`: adds one and returns the number as this request saw it. If other requests
/// come in between, the increment runs again on their number, so read the entry to get the sum.
pub(crate) async fn count(
    EntryKey(key): EntryKey,
    Query(delay): Query<Delay>,
    Visitor(session): Visitor,
) -> Result<Json<i64>> {
    delay.wait().await;
    let number = session.update(&key, |number: &mut i64| {
        *number = number.saturating_add(1);
        *number
    })?;
    Ok(Json(number))
}
