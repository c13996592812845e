//! Reads and changes the entries of one session, by its id.

use serde::{Serialize, de::DeserializeOwned};

use super::Sessions;
use crate::{
    error::{ErrorKind, Result},
    id::SessionId,
    session::{InsertKey, IntoKey},
};

/// # One session's entries
///
/// Each of these methods writes at once. To make several changes in one write, [`open`](Sessions::open) the session,
/// change it, and [`save`](crate::Session::save) it.
impl Sessions {
    /// Returns the value of an entry, or `None` if there is no such session or no such entry.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if the entry is not of this type, and the errors of [`open`](Self::open).
    pub async fn get<T: DeserializeOwned>(&self, id: &SessionId, key: impl IntoKey<T>) -> Result<Option<T>> {
        match self.open(id).await? {
            Some(session) => session.get(key),
            None => Ok(None),
        }
    }

    /// Changes an entry by a closure. If there is no such entry, the closure starts from the type's default. Returns
    /// what the closure returned when it was finally applied. If there is no such session, changes nothing and returns
    /// `None`.
    ///
    /// As in a request, **the closure runs again** if the session was changed meanwhile (see
    /// [`Session::update`](crate::Session::update)).
    ///
    /// # Errors
    ///
    /// The same as [`open`](Self::open), [`Session::update`](crate::Session::update) and
    /// [`Session::save`](crate::Session::save).
    pub async fn update<T, R>(
        &self,
        id: &SessionId,
        key: impl IntoKey<T>,
        f: impl Fn(&mut T) -> R + Send + Sync + 'static,
    ) -> Result<Option<R>>
    where
        T: Serialize + DeserializeOwned + Default + 'static,
        R: Send + 'static,
    {
        let Some(session) = self.open(id).await? else { return Ok(None) };
        present(session.update_now(key, f).await)
    }

    /// Sets entries, and leaves the session's other entries unchanged. If there is no such session, changes nothing and
    /// returns `false`. To create one, use [`SessionLayer::new_session`](crate::SessionLayer::new_session).
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session, Sessions};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = MemoryStore::new();
    /// # let session = Session::new(store.clone());
    /// # session.insert("visits", &1)?;
    /// # session.save().await?;
    /// # let (sessions, id) = (Sessions::new(store), session.id().unwrap());
    /// assert!(sessions.merge(&id, [("plan", "gold"), ("language", "pt")]).await?);
    /// # assert_eq!(sessions.get::<String>(&id, "plan").await?.as_deref(), Some("gold"));
    /// # assert_eq!(sessions.get::<u8>(&id, "visits").await?, Some(1));
    /// # Ok::<(), session_layer::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The same as [`open`](Self::open), [`Session::insert`](crate::Session::insert) and
    /// [`Session::save`](crate::Session::save). After an error, none of the entries is set.
    pub async fn merge<K, V, By>(&self, id: &SessionId, entries: impl IntoIterator<Item = (K, V)>) -> Result<bool>
    where
        K: InsertKey<V, By>,
        V: Serialize,
    {
        let Some(session) = self.open(id).await? else { return Ok(false) };
        for (key, value) in entries {
            session.insert(key, value)?;
        }
        Ok(present(session.save().await)?.is_some())
    }

    /// Removes an entry and returns its value, or `None` if there is no such session or no such entry. Of two
    /// concurrent calls, only one gets the value.
    ///
    /// # Errors
    ///
    /// The same as [`open`](Self::open) and [`Session::save`](crate::Session::save). After
    /// [`Decode`](ErrorKind::Decode), the entry is still there.
    pub async fn take<T>(&self, id: &SessionId, key: impl IntoKey<T>) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let Some(session) = self.open(id).await? else { return Ok(None) };
        Ok(present(session.take_now(key).await)?.flatten())
    }

    /// Returns the value of an entry. If there is no such entry, sets it to `default` first. Returns `None` if there
    /// is no such session. Two concurrent calls get the same value.
    ///
    /// # Errors
    ///
    /// The same as [`open`](Self::open), [`Session::update`](crate::Session::update) and
    /// [`Session::save`](crate::Session::save).
    pub async fn get_or_insert<T>(&self, id: &SessionId, key: impl IntoKey<T>, default: T) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        let Some(session) = self.open(id).await? else { return Ok(None) };
        present(session.get_or_insert_with_now(key, move || default).await)
    }
}

/// Treats a session that ended between its load and the write as absent.
fn present<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if matches!(error.kind(), ErrorKind::Gone | ErrorKind::Superseded) => Ok(None),
        outcome => outcome.map(Some),
    }
}
