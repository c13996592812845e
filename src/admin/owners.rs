//! The sessions of one owner: listed and limited.

use std::{
    fmt::{self, Display},
    sync::Arc,
    time::SystemTime,
};

use serde::de::DeserializeOwned;

use super::Sessions;
use crate::{
    codec::Codec,
    error::{Error, ErrorKind, Result},
    id::SessionId,
    session::{AtLimit, IntoKey, Key, Limit, make_room},
    store::Stored,
};

/// The entry under which the application keeps what it knows of the device, for the owner's list: a browser's name, a
/// place. `session.insert(DEVICE, "Firefox on Debian")` beside the login.
///
/// It is an entry like any other; nothing is recorded unless the application does it.
pub const DEVICE: Key<String> = Key::new("device");

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
    pub async fn of_owner(&self, owner: impl Display) -> Result<Vec<OwnedSession>> {
        let codec = &self.context.settings.codec;
        let listed = self.context.list_owned(&owner.to_string()).await?;
        Ok(listed.into_iter().map(|(id, stored)| OwnedSession { id, stored, codec: codec.clone() }).collect())
    }

    /// Sees to it that an owner has room for one more session, where at most `limit` are allowed: call it before
    /// [`Session::login`](crate::Session::login). `true` if the login may go on.
    ///
    /// It is for logins that no layer makes, or to know beforehand. A layer does it by itself, and also where logins come
    /// at the same moment: [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner). This call counts what the
    /// store lists, and the session that the visitor may already have; two at once can each be admitted to the last place.
    ///
    /// # Errors
    ///
    /// As [`of_owner`](Self::of_owner) and [`revoke_one`](Self::revoke_one).
    pub async fn admit(&self, owner: impl Display, limit: usize, at_limit: AtLimit) -> Result<bool> {
        let (context, owner) = (Arc::clone(&self.context), owner.to_string());
        self.context
            .running
            .to_its_end(async move { make_room(&context, &owner, Limit { most: limit, at_limit }, &[]).await })
            .await
    }
}
