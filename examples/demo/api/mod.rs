//! The interface for tests: the session's properties and entries, its owner's other sessions, and failures on request.

mod devices;
mod entries;
mod fail;
mod figures;
mod key;
mod session;

pub(crate) use self::{
    devices::{devices, revoke, revoke_others},
    entries::{count, read, remove, write},
    fail::fail,
    figures::{figures, metrics},
    key::no_key,
    session::session,
};
use axum::Json;
use serde_json::{Value, json};

/// `GET /api/untouched`: uses no session, so none is loaded, and the answer doesn't depend on one.
pub(crate) async fn untouched() -> Json<Value> {
    Json(json!({ "touched": false }))
}
