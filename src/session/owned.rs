//! The sessions of one owner: as the store lists them, and one of them ended.

use std::{cmp::Reverse, sync::Arc};

use tokio::time::Instant;

use super::{
    commit::deadline,
    load::{Found, find},
    settings::Settings,
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
    record::{Owner, Record, RecordKind},
    store::{SessionStore, StoreError, StoreErrorKind, Stored, Update, Usage},
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

/// A live session of this owner, or nothing: whose it is otherwise is nobody's business (K24).
pub(crate) async fn find_owned(settings: &Settings, owner: &str, id: &SessionId) -> Result<Option<Stored>> {
    Ok(match find(settings, id, None).await? {
        Found::Live(stored) if stored.record.owner().is_some_and(|held| **held.name() == *owner) => Some(stored),
        Found::Live(_) | Found::Superseded | Found::Absent => None,
    })
}

/// Ends a session of this owner. `false`, and nothing is changed, if it is not a live one of this owner.
pub(crate) async fn end_owned(settings: &Settings, owner: &str, id: &SessionId) -> Result<bool> {
    let deadline = deadline(settings);
    loop {
        let Some(held) = find_owned(settings, owner, id).await? else { return Ok(false) };
        // Not a plain remove: beside a renewal that would end the old id, and the session lived on under the new one. Of
        // this write and the renewal's one is first, and the renewal gives up if it is not.
        let now = settings.clock.now();
        let tombstone = Arc::new(Record::tombstone(held.record.check(), now));
        let usage = Usage::at(&tombstone, now);
        match settings.store.update(id, &tombstone, &held.version, usage).await {
            Ok(Update::Updated(_)) => break,
            Ok(Update::Gone) => return Ok(false),
            Ok(Update::Conflict) => within(deadline, id)?,
            // A remove tells by itself whether it arrived.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => break,
            Err(error) => return Err(error.during("update").on(id).into()),
        }
    }
    remove(settings, id).await?;
    Ok(true)
}

/// Removes what is under an id.
pub(crate) async fn remove(settings: &Settings, id: &SessionId) -> Result<bool, StoreError> {
    let outcome = match settings.store.remove(id).await {
        // Whether the first one arrived is told by a second: either way nothing is there afterwards.
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => settings.store.remove(id).await.map(|_| true),
        outcome => outcome,
    };
    let was_there = outcome.map_err(|error| error.during("remove").on(id))?;
    if was_there {
        settings.emit(EventKind::Destroyed { id: *id });
    }
    Ok(was_there)
}

/// Fails if the time to retry is over.
pub(crate) fn within(deadline: Instant, id: &SessionId) -> Result<()> {
    if Instant::now() < deadline { Ok(()) } else { Err(Error::session(ErrorKind::Contended, *id)) }
}
