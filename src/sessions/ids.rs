//! All ids, a page at a time.

use std::vec;

use super::{Sessions, handle::during};
use crate::{
    error::Result,
    id::SessionId,
    store::{Cursor, DynStore, capability},
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
    pub fn ids(&self) -> SessionIds {
        SessionIds { store: self.store().clone(), page: Vec::new().into_iter(), next: Some(Cursor::START) }
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
            let page = capability::listing(&self.store, "ids")?.ids(from, PAGE).await.map_err(during("ids"))?;
            self.page = page.ids.into_iter();
            self.next = page.next;
        }
    }
}
