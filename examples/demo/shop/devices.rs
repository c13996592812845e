//! Lists and ends a user's sessions.

use std::{sync::Arc, time::SystemTime};

use axum::http::StatusCode;
use session_layer::{DEVICE, Session, SessionId, Sessions};

use crate::error::{Error, Result};

/// One of a visitor's sessions.
pub(crate) struct Device {
    pub(crate) id: SessionId,
    /// Whether it is the request's session.
    pub(crate) current: bool,
    pub(crate) created_at: SystemTime,
    pub(crate) last_used_at: SystemTime,
    pub(crate) device: Option<String>,
}

/// Returns the visitor's sessions, the request's own first; 401 if nobody is logged in.
pub(crate) async fn list_devices(sessions: &Sessions, session: &Session) -> Result<Vec<Device>> {
    let (owner, current) = owner(session)?;
    let mut listed = sessions.of_owner(&owner).await?;
    // The request's own session is added from the request: on memcached the list is best-effort and can miss sessions.
    listed.retain(|other| other.id() != current.id);
    let others = listed.into_iter().map(|other| Device {
        id: other.id(),
        current: false,
        created_at: other.created_at(),
        last_used_at: other.last_used_at(),
        device: other.device(),
    });
    Ok(std::iter::once(current).chain(others).collect())
}

/// Ends one of the visitor's sessions. Any other id is a 404, whoever owns that session.
pub(crate) async fn end_device(sessions: &Sessions, session: &Session, id: Option<SessionId>) -> Result<()> {
    let (owner, current) = owner(session)?;
    let not_there = || Error::new(StatusCode::NOT_FOUND, "you have no such device");
    let id = id.ok_or_else(not_there)?;
    if id == current.id {
        // Through the session itself, so that its cookie is removed as well.
        return Ok(session.destroy()?);
    }
    if sessions.revoke_one(&owner, &id).await? { Ok(()) } else { Err(not_there()) }
}

/// Ends all of the visitor's sessions but the request's own.
pub(crate) async fn end_others(sessions: &Sessions, session: &Session) -> Result<()> {
    let (owner, current) = owner(session)?;
    // If not, this session was ended in the meantime, and it must not end others any more.
    if sessions.revoke_others(&owner, &current.id).await? { Ok(()) } else { Err(Error::nobody()) }
}

/// Returns the session's owner, and the session as one of the owner's.
fn owner(session: &Session) -> Result<(Arc<str>, Device)> {
    let about = (session.owner(), session.id(), session.created_at(), session.last_used_at());
    let (Some(owner), Some(id), Some(created_at), Some(last_used_at)) = about else { return Err(Error::nobody()) };
    Ok((owner, Device { id, current: true, created_at, last_used_at, device: session.get(DEVICE)? }))
}
