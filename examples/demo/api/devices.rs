//! Lists and ends the sessions of the visitor's owner.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use session_layer::Sessions;

use crate::{
    error::Result,
    extract::{Id, Visitor},
    instant, shop,
};

#[derive(Serialize)]
pub(crate) struct Device {
    id: String,
    current: bool,
    created_at: String,
    last_used_at: String,
    /// The description that was recorded at the login; `null` if there is none.
    device: Option<String>,
}

/// `GET /api/devices`: the sessions of the logged-in user, the request's own first; 401 if nobody is logged in.
pub(crate) async fn devices(State(sessions): State<Sessions>, Visitor(session): Visitor) -> Result<Json<Vec<Device>>> {
    let devices = shop::list_devices(&sessions, &session).await?.into_iter().map(|device| {
        Ok(Device {
            id: device.id.to_string(),
            current: device.current,
            created_at: instant::rfc3339(device.created_at)?,
            last_used_at: instant::rfc3339(device.last_used_at)?,
            device: device.device,
        })
    });
    devices.collect::<Result<_>>().map(Json)
}

/// `POST /api/devices/{id}/revoke`: ends one of them; for the request's own session this is a logout. 404 for any other
/// id.
pub(crate) async fn revoke(
    State(sessions): State<Sessions>,
    Visitor(session): Visitor,
    Id(id): Id,
) -> Result<StatusCode> {
    shop::end_device(&sessions, &session, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/devices/revoke-others`: ends all but the request's own.
pub(crate) async fn revoke_others(State(sessions): State<Sessions>, Visitor(session): Visitor) -> Result<StatusCode> {
    shop::end_others(&sessions, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}
