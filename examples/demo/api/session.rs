//! The session's properties.

use std::time::SystemTime;

use axum::Json;
use serde::Serialize;
use session_layer::SessionId;

use crate::{
    error::Result,
    extract::Visitor,
    instant,
    shop::{CART, Cart, USER, VISITS},
};

#[derive(Serialize)]
pub(crate) struct About {
    new: bool,
    id: Option<String>,
    user: Option<String>,
    visits: u64,
    cart: Cart,
    keys: Vec<String>,
    created_at: Option<String>,
    last_used_at: Option<String>,
    expires_at: Option<String>,
}

/// `GET /api/session`. It changes nothing.
pub(crate) async fn session(Visitor(session): Visitor) -> Result<Json<About>> {
    let rfc3339 = |time: Option<SystemTime>| time.map(instant::rfc3339).transpose();
    Ok(Json(About {
        new: session.is_new(),
        id: session.id().as_ref().map(SessionId::to_string),
        user: session.get(USER)?,
        visits: session.get_or_default(VISITS)?,
        cart: session.get_or_default(CART)?,
        keys: session.keys(),
        created_at: rfc3339(session.created_at())?,
        last_used_at: rfc3339(session.last_used_at())?,
        expires_at: rfc3339(session.expires_at())?,
    }))
}
