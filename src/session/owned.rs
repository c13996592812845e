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
    store::{Owned, SessionStore, StoreError, Stored, capability},
};

/// The owner's live sessions, the most recently used first. Revoked ones are not among them.
pub(crate) async fn list_owned(settings: &Settings, owner: &str) -> Result<Vec<(SessionId, Stored)>> {
    let mut sessions = list_stored(settings, owner).await?;
    // Read after the list: what is revoked in between is left out, and a later login is not in it yet.
    let present = settings.store.owner_epoch(owner).await;
    let present = present.map_err(|error| Error::from(error.during("owner_epoch")))?;
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

/// Every session that the store lists for an owner, revoked or not, with its record: loaded if the list has only the id.
pub(crate) async fn list_stored(settings: &Settings, owner: &str) -> Result<Vec<(SessionId, Stored)>, StoreError> {
    let owners = capability::owners(&settings.store, "list_owner")?;
    let listed = owners.list_owner(owner).await.map_err(|error| error.during("list_owner"))?;
    let mut sessions = Vec::with_capacity(listed.len());
    for Owned { id, stored, .. } in listed {
        let stored = match stored {
            Some(stored) => Some(stored),
            None => settings.store.load(&id).await.map_err(|error| error.during("load").on(&id))?,
        };
        sessions.extend(stored.map(|stored| (id, stored)));
    }
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
