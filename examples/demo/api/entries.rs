//! The session's entries, for anybody who has the session.
//!
//! Each handler asks for the session before the body: it is loaded by the time that the body is read.

use axum::{Json, http::StatusCode};
use serde_json::Value;

use super::key::EntryKey;
use crate::{
    error::{Error, Result},
    extract::{Body, Delay, Query, Visitor},
};

/// `GET /api/entries/{key}`: the value, as JSON.
pub(crate) async fn read(EntryKey(key): EntryKey, Visitor(session): Visitor) -> Result<Json<Value>> {
    let value = session.get::<Value>(&key)?;
    value.map(Json).ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "there is no such entry"))
}

/// `PUT /api/entries/{key}?delay_ms=N` with JSON.
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

/// `DELETE /api/entries/{key}?delay_ms=N`.
pub(crate) async fn remove(
    EntryKey(key): EntryKey,
    Query(delay): Query<Delay>,
    Visitor(session): Visitor,
) -> Result<StatusCode> {
    delay.wait().await;
    session.remove(&key)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/counters/{key}?delay_ms=N`: one more, and the number as this request saw it. If others got in between, it
/// is counted again on theirs, so the entry is the one to ask for the sum.
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
