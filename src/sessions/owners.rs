//! The sessions of one owner: listed and limited.

use std::{cmp::Reverse, fmt, time::SystemTime};

use serde::de::DeserializeOwned;

use super::{Sessions, handle::during};
use crate::{
    codec::Codec,
    error::{Error, ErrorKind, Result},
    id::SessionId,
    record::{Owner, RecordKind},
    session::{IntoKey, Key},
    store::{SessionStore, Stored},
};

/// The entry under which the application keeps what it knows of the device, for the owner's list: a browser's name, a
/// place. `session.insert(DEVICE, &"Firefox on Debian".to_owned())` beside the login.
///
/// It is an entry like any other; nothing is recorded unless the application does it.
pub const DEVICE: Key<String> = Key::new("device");

/// What happens to a login when its owner has as many sessions as are allowed; see [`Sessions::admit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AtLimit {
    /// The new login is refused.
    Refuse,
    /// The sessions that were used longest ago are ended to make room.
    EndOldest,
}

/// One live session in an owner's list.
#[derive(Clone)]
pub struct OwnedSession {
    id: SessionId,
    stored: Stored,
    codec: Codec,
}

impl OwnedSession {
    /// The session's id. It is no secret: pages and forms can hold it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// When its owner logged in.
    #[must_use]
    pub fn created_at(&self) -> SystemTime {
        self.stored.record.created_at()
    }

    /// When it was last used, as far as was written: up to a tenth of the idle time late.
    #[must_use]
    pub fn last_used_at(&self) -> SystemTime {
        self.stored.used_at
    }

    /// From when on it is expired if it is not used any more.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.stored.expires_at
    }

    /// What the application keeps under [`DEVICE`]; `None` if that is nothing, or no text.
    #[must_use]
    pub fn device(&self) -> Option<String> {
        self.get(DEVICE).ok().flatten()
    }

    /// The value of an entry, as it was when the list was made.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the entry is not of this type.
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey<T>) -> Result<Option<T>> {
        let key = key.name();
        let value = self.stored.record.entries().get(key).map(|bytes| self.codec.decode(bytes)).transpose();
        value.map_err(|error| Error::entry(ErrorKind::Decode, key, Some(std::any::type_name::<T>())).because(error))
    }
}

impl fmt::Debug for OwnedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSession")
            .field("id", &self.id)
            .field("created_at", &self.created_at())
            .field("last_used_at", &self.last_used_at())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// # The sessions of one owner
///
/// Whoever [logged in](crate::Session::login) under a name owns the session. To revoke is to change the owner's epoch,
/// one number that every load compares: it holds at the next load of each session, on every store and for requests that
/// are under way, also for sessions that the store does not list. Listing is exact on [`MemoryStore`](crate::MemoryStore)
/// and [`FileStore`](crate::FileStore); on memcached it is a help that can miss sessions.
impl Sessions {
    /// The live sessions of an owner, the most recently used first. Revoked ones are not listed.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) where the store can't list, and its failures.
    pub async fn list(&self, owner: &str) -> Result<Vec<OwnedSession>> {
        let settings = &*self.settings;
        let listed = settings.store.list_owner(owner).await.map_err(during("list_owner"))?;
        // Read after the list: what is revoked in between is left out, and a later login is not in it yet.
        let present = settings.store.owner_epoch(owner).await.map_err(during("owner_epoch"))?;
        let now = settings.clock.now();
        let is_live = |stored: &Stored| {
            let record = &stored.record;
            let epoch = record.owner().filter(|held| **held.name() == *owner).map(Owner::epoch);
            record.kind() == RecordKind::Session
                && epoch.is_some()
                && epoch == present
                && !stored.is_expired(now)
                && now < record.absolute_limit()
        };
        let live = listed.into_iter().filter(|(_, stored)| is_live(stored));
        let mut sessions: Vec<_> =
            live.map(|(id, stored)| OwnedSession { id, stored, codec: settings.codec.clone() }).collect();
        sessions.sort_by_key(|session| (Reverse(session.last_used_at()), Reverse(session.created_at()), session.id));
        Ok(sessions)
    }

    /// Sees to it that an owner has room for one more session, where at most `limit` are allowed: call it before
    /// [`Session::login`](crate::Session::login). `true` if the login may go on.
    ///
    /// It counts what the store lists, and the session that the visitor may already have. Logins of one owner at the same
    /// moment can each be admitted to the last place: the next one ends the surplus under
    /// [`EndOldest`](AtLimit::EndOldest).
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list) and [`revoke_one`](Self::revoke_one).
    pub async fn admit(&self, owner: &str, limit: usize, at_limit: AtLimit) -> Result<bool> {
        let sessions = self.list(owner).await?;
        if sessions.len() < limit {
            return Ok(true);
        }
        if at_limit == AtLimit::Refuse || limit == 0 {
            return Ok(false);
        }
        for oldest in &sessions[limit - 1..] {
            // `false`: it ended by itself meanwhile.
            self.revoke_one(owner, &oldest.id).await?;
        }
        Ok(true)
    }
}
