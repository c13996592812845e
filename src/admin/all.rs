//! Iterates over all sessions of a store, a page of ids at a time.

use std::vec;

use super::{Sessions, sessions::during};
use crate::{
    error::Result,
    id::SessionId,
    session::Session,
    store::{Cursor, DynStore, require},
};

/// The number of ids in a page.
const PAGE: usize = 256;

/// The ids of a store's live sessions, one after another; see [`Sessions::ids`].
///
/// It has an async [`next`](Self::next) and implements no trait, so a loop needs no other crate.
#[derive(Debug)]
pub struct SessionIds {
    store: DynStore,
    page: vec::IntoIter<SessionId>,
    next: Option<Cursor>,
}

/// The live sessions of a store, one after another; see [`Sessions::iter`].
#[derive(Debug)]
pub struct SessionIter {
    sessions: Sessions,
    ids: SessionIds,
}

/// # All sessions
///
/// If the store can't list, each of these methods fails with [`Unsupported`](crate::ErrorKind::Unsupported).
impl Sessions {
    /// Returns the ids of all live sessions. A session that lives during the whole iteration is returned at least
    /// once, and possibly more than once. A revoked session that is not removed yet is returned as well: see
    /// [`contains`](Self::contains).
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Sessions};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let sessions = Sessions::new(MemoryStore::new());
    /// let mut ids = sessions.ids();
    /// while let Some(id) = ids.next().await? {
    ///     println!("{id}");
    /// }
    /// # Ok::<(), session_layer::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "keys")]
    pub fn ids(&self) -> SessionIds {
        SessionIds { store: self.store().clone(), page: Vec::new().into_iter(), next: Some(Cursor::START) }
    }

    /// Returns all live sessions, each as [`open`](Self::open) returns it: reading a session does not count as a use.
    /// A session that lives during the whole iteration is returned at least once, and possibly more than once. A
    /// session that has ended or was revoked is left out. Sessions are opened one by one, so the store is neither
    /// copied nor locked.
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session, Sessions};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = MemoryStore::new();
    /// # let session = Session::new(store.clone());
    /// # session.insert("visits", &2)?;
    /// # session.save().await?;
    /// # let (sessions, mut visits) = (Sessions::new(store), 0);
    /// let mut all = sessions.iter();
    /// while let Some(session) = all.next().await? {
    ///     visits += session.get::<u64>("visits")?.unwrap_or_default();
    /// }
    /// # assert_eq!(visits, 2);
    /// # Ok::<(), session_layer::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "values")]
    pub fn iter(&self) -> SessionIter {
        SessionIter { sessions: self.clone(), ids: self.ids() }
    }

    /// Returns whether there is no live session. It stops at the first id, so it costs less than
    /// [`count`](Self::count).
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.ids().next().await?.is_none())
    }
}

impl SessionIds {
    /// Returns the next id, or `None` at the end. After an error, call it again to continue at the same place.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the store can't list, and the store's errors.
    pub async fn next(&mut self) -> Result<Option<SessionId>> {
        loop {
            if let Some(id) = self.page.next() {
                return Ok(Some(id));
            }
            let Some(from) = self.next else { return Ok(None) };
            let page = require::listing(&self.store, "ids")?.ids(from, PAGE).await.map_err(during("ids"))?;
            self.page = page.ids.into_iter();
            self.next = page.next;
        }
    }
}

impl SessionIter {
    /// Returns the next session, or `None` at the end. After an error, call it again to continue: after the session
    /// that could not be opened, or at the same place if the store could not list.
    ///
    /// # Errors
    ///
    /// The same as [`SessionIds::next`] and [`Sessions::open`].
    pub async fn next(&mut self) -> Result<Option<Session>> {
        while let Some(id) = self.ids.next().await? {
            if let Some(session) = self.sessions.open(&id).await? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }
}
