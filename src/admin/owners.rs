//! Lists and limits the sessions of one owner.

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
    session::{AtLimit, IntoKey, Key, OwnerLimit, make_room},
    store::Stored,
};

/// The key of the entry in which the application describes the device for the owner's list of sessions, such as a
/// browser's name or a place. Set it at the login: `session.insert(DEVICE, "Firefox on Debian")`.
///
/// It is an ordinary entry: this crate never sets it.
pub const DEVICE: Key<String> = Key::new("device");

/// A live session in an owner's list.
#[derive(Clone)]
pub struct OwnedSession {
    id: SessionId,
    stored: Stored,
    codec: Codec,
}

impl OwnedSession {
    /// Returns the session's id. It is not secret: pages and forms can contain it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns when the owner logged in.
    #[must_use]
    pub fn created_at(&self) -> SystemTime {
        self.stored.record.created_at()
    }

    /// Returns when it was last used, as far as that was stored. By default, the actual last use can be later by up to
    /// a tenth of the idle timeout (see [`touch_fraction`](crate::SessionLayerBuilder::touch_fraction)).
    #[must_use]
    pub fn last_used_at(&self) -> SystemTime {
        self.stored.used_at
    }

    /// Returns when it expires if it is not used again.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.stored.expires_at
    }

    /// Returns the application's description of the device ([`DEVICE`]), or `None` if there is none or it is not text.
    #[must_use]
    pub fn device(&self) -> Option<String> {
        self.get(DEVICE).ok().flatten()
    }

    /// Returns the value of an entry, as it was when the list was made.
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
/// A session is owned by the name under which it [logged in](crate::Session::login). Revoking changes the owner's
/// epoch, a number that each load compares. It takes effect at the next load of each session, on every store, also for
/// requests that are under way and for sessions that the store does not list. Listing is exact on
/// [`MemoryStore`](crate::MemoryStore) and [`FileStore`](crate::FileStore). On memcached, lists can miss sessions.
impl Sessions {
    /// Returns the live sessions of an owner, the most recently used first. Revoked sessions are left out.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) if the store can't list, and the store's errors.
    pub async fn of_owner(&self, owner: impl Display) -> Result<Vec<OwnedSession>> {
        let codec = &self.context.settings.codec;
        let listed = self.context.list_owned(&owner.to_string()).await?;
        Ok(listed.into_iter().map(|(id, stored)| OwnedSession { id, stored, codec: codec.clone() }).collect())
    }

    /// Makes room for one more session of an owner, if at most `limit` are allowed. Call it before
    /// [`Session::login`](crate::Session::login). Returns `true` if the login may go on.
    ///
    /// Use it for logins outside a layer, or to know beforehand. A layer with
    /// [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner) does this by itself, also for
    /// simultaneous logins. This call counts the sessions that the store lists, including one that the visitor may
    /// already have. Two concurrent calls can both get the last place.
    ///
    /// # Errors
    ///
    /// The same as [`of_owner`](Self::of_owner) and [`revoke_one`](Self::revoke_one).
    #[doc(alias = "admit")]
    pub async fn make_room_for(&self, owner: impl Display, limit: usize, at_limit: AtLimit) -> Result<bool> {
        let (context, owner) = (Arc::clone(&self.context), owner.to_string());
        self.context
            .outliving
            .run_on(async move { make_room(&context, &owner, OwnerLimit { most: limit, at_limit }, &[]).await })
            .await
    }
}
