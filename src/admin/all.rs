//! All sessions of a store, a page of ids at a time.

use std::vec;

use super::{Sessions, sessions::during};
use crate::{
    error::Result,
    id::SessionId,
    session::Session,
    store::{Cursor, DynStore, required},
};

/// How many ids are asked for at once.
const PAGE: usize = 256;

/// The ids of a store's live sessions, one after another; see [`Sessions::ids`].
///
/// A pager with an async [`next`](Self::next) and no trait: a loop needs no crate for it.
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
/// Each is [`Unsupported`](crate::ErrorKind::Unsupported) where the store can't list.
impl Sessions {
    /// The ids of all live sessions. One that lives all the while is returned at least once; a store can return it again.
    /// A revoked one that is not removed yet is returned as well: see [`contains`](Self::contains).
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

    /// All live sessions, each as [`open`](Self::open) opens it: reading one does not count as a use. One that lives all
    /// the while is returned at least once; a store can return it again. One that has ended or was revoked is left out.
    /// Sessions are opened one by one, so the store is neither copied nor locked.
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

    /// Whether there is no live session. It stops at the first, so it costs less than [`count`](Self::count).
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.ids().next().await?.is_none())
    }
}

impl SessionIds {
    /// The next id; `None` at the end. After an error it can be called again and goes on where it was.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the store has no list, and its failures.
    pub async fn next(&mut self) -> Result<Option<SessionId>> {
        loop {
            if let Some(id) = self.page.next() {
                return Ok(Some(id));
            }
            let Some(from) = self.next else { return Ok(None) };
            let page = required::listing(&self.store, "ids")?.ids(from, PAGE).await.map_err(during("ids"))?;
            self.page = page.ids.into_iter();
            self.next = page.next;
        }
    }
}

impl SessionIter {
    /// The next session; `None` at the end. After an error it can be called again: it goes on behind a session that
    /// could not be opened, and where it was if the store could not list.
    ///
    /// # Errors
    ///
    /// As [`SessionIds::next`] and [`Sessions::open`].
    pub async fn next(&mut self) -> Result<Option<Session>> {
        while let Some(id) = self.ids.next().await? {
            if let Some(session) = self.sessions.open(&id).await? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }
}
