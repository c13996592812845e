//! The sessions of one owner, as the store lists them.

use std::cmp::Reverse;

use super::{
    load::{Follow, Found, find},
    settings::Settings,
    state::Live,
};
use crate::{
    error::{Error, Result},
    id::SessionId,
    record::{Owner, RecordKind},
    store::{SessionStore, StoreError, Stored},
};

/// The owner's live sessions, the most recently used first. Revoked ones are not among them.
pub(crate) async fn list_owned(settings: &Settings, owner: &str) -> Result<Vec<(SessionId, Stored)>> {
    let failed = |operation| move |error: StoreError| Error::from(error.during(operation));
    let mut sessions = settings.store.list_owner(owner).await.map_err(failed("list_owner"))?;
    // Read after the list: what is revoked in between is left out, and a later login is not in it yet.
    let present = settings.store.owner_epoch(owner).await.map_err(failed("owner_epoch"))?;
    let now = settings.clock.now();
    sessions.retain(|(_, stored)| {
        let record = &stored.record;
        let epoch = record.owner().filter(|held| **held.name() == *owner).map(Owner::epoch);
        record.kind() == RecordKind::Session
            && epoch.is_some()
            && epoch == present
            && !stored.is_expired(now)
            && now < record.absolute_limit()
    });
    sessions.sort_by_key(|(id, stored)| (Reverse(stored.used_at), Reverse(stored.record.created_at()), *id));
    Ok(sessions)
}

/// Returns the live session of this id, or of the id to which a renewal has moved it. Returns `None` unless `owner`
/// owns it, so that an id taken from a form can't reach another owner's session.
pub(crate) async fn find_owned(settings: &Settings, owner: &str, id: &SessionId) -> Result<Option<Live>> {
    Ok(match find(settings, id, None, Follow::Link).await? {
        Found::Live(live) if live.stored.record.owner().is_some_and(|held| **held.name() == *owner) => Some(live),
        Found::Live(_) | Found::Superseded { .. } | Found::Absent | Found::Revoked => None,
    })
}
