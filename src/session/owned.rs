//! Finds and lists the sessions of one owner.

use std::cmp::Reverse;

use super::{
    context::Context,
    find::{Follow, Found},
    live::Live,
};
use crate::{
    error::{Error, Result},
    id::SessionId,
    record::{Owner, RecordKind},
    store::{ListedSession, SessionStore, StoreError, Stored, require},
};

impl Context {
    /// Returns the live session with this id, or at the id to which a renewal has moved it. Returns `None` unless
    /// `owner` owns it, so that an id taken from a form can't reach another owner's session.
    pub(crate) async fn find_owned(&self, owner: &str, id: &SessionId) -> Result<Option<Live>> {
        Ok(match self.find(id, None, Follow::Link).await? {
            Found::Live(live) if live.stored.record.owner().is_some_and(|owned_by| **owned_by.name() == *owner) => {
                Some(live)
            }
            Found::Live(_) | Found::Superseded { .. } | Found::Absent | Found::Revoked => None,
        })
    }

    /// Returns all sessions that the store lists for an owner, revoked or not. Loads the record if the list has only
    /// the id.
    pub(crate) async fn list_stored(&self, owner: &str) -> Result<Vec<(SessionId, Stored)>, StoreError> {
        let owners = require::owners(&self.store, "list_owner")?;
        let listed = owners.list_owner(owner).await.map_err(|error| error.during("list_owner"))?;
        let mut sessions = Vec::with_capacity(listed.len());
        for ListedSession { id, stored, .. } in listed {
            let stored = match stored {
                Some(stored) => Some(stored),
                None => self.store.load(&id).await.map_err(|error| error.during("load").on(&id))?,
            };
            sessions.extend(stored.map(|stored| (id, stored)));
        }
        Ok(sessions)
    }

    /// Returns the owner's live sessions, most recently used first, without revoked ones.
    pub(crate) async fn list_owned(&self, owner: &str) -> Result<Vec<(SessionId, Stored)>> {
        let failed = |operation| move |error: StoreError| Error::from(error.during(operation));
        let mut sessions = self.list_stored(owner).await?;
        // Read after the list: sessions that are revoked in between are left out, and a later login is not in the list
        // yet.
        let present = self.store.owner_epoch(owner).await.map_err(failed("owner_epoch"))?;
        let now = self.clock.now();
        sessions.retain(|(_, stored)| {
            let record = &stored.record;
            let epoch = record.owner().filter(|owned_by| **owned_by.name() == *owner).map(Owner::epoch);
            record.kind() == RecordKind::Session && epoch.is_some() && epoch == present && stored.is_live(now)
        });
        sessions.sort_by_key(|(id, stored)| (Reverse(stored.used_at), Reverse(stored.record.created_at()), *id));
        Ok(sessions)
    }
}
