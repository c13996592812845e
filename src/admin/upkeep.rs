//! Operations on the whole store, and metadata of sessions.

use std::time::Duration;

use super::{Sessions, sessions::during};
use crate::{
    error::Result,
    id::SessionId,
    session::{Caller, EndedBeside, failed},
    store::{Idle, Metadata, SessionStatus, SessionStore, Swept, require},
};

/// # The store as a whole
///
/// If the store can't do it, a method fails with [`Unsupported`](crate::ErrorKind::Unsupported).
impl Sessions {
    /// Returns the number of live sessions, including revoked sessions that are not removed yet.
    ///
    /// # Errors
    ///
    /// The store's errors.
    #[doc(alias = "len")]
    pub async fn count(&self) -> Result<u64> {
        require::listing(self.store(), "count")?.count().await.map_err(during("count"))
    }

    /// Ends all sessions of all owners and visitors. Returns how many there were, or 0 if the store can't count.
    ///
    /// # Errors
    ///
    /// The store's errors; sessions may then live on. [`Unsupported`](crate::ErrorKind::Unsupported) if the store can't
    /// clear: memcached needs the setting `clear_by_generation`.
    #[doc(alias = "clear")]
    pub async fn end_all(&self) -> Result<u64> {
        let caller = Caller::present();
        let cleared = require::clearing(self.store(), "clear")?.clear().await.map_err(during("clear"))?;
        caller.has_ended(Some(EndedBeside::All));
        Ok(cleared)
    }

    /// Removes expired sessions, to free their space.
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub async fn sweep(&self) -> Result<Swept> {
        require::listing(self.store(), "sweep")?.sweep().await.map_err(during("sweep"))
    }

    /// Ends sessions that have not been used for this long, and removes expired ones.
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub async fn delete_idle(&self, unused_for: Duration) -> Result<Swept> {
        require::listing(self.store(), "delete_idle")?
            .delete_idle(Idle::new(unused_for).touch_fraction(self.context.settings.touch_fraction))
            .await
            .map_err(during("delete_idle"))
    }

    /// Returns the metadata of a session, or `None` if it is absent. This does not count as a use. An expired session
    /// that is not swept yet may be returned, and a revoked one, too: see [`contains`](Self::contains).
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>> {
        self.store().metadata(id).await.map_err(failed("metadata", id))
    }

    /// Returns whether a session is active, expired or leased, or `None` if it is absent.
    ///
    /// # Errors
    ///
    /// The same as [`metadata`](Self::metadata).
    pub async fn status(&self, id: &SessionId) -> Result<Option<SessionStatus>> {
        Ok(self.metadata(id).await?.map(|metadata| metadata.status))
    }

    /// Makes all writes so far durable. Not a logout: to end a session, use [`Session::destroy`](crate::Session::destroy)
    /// or [`end`](Self::end).
    ///
    /// The store does what it can: it writes a snapshot, syncs files, or waits for the last replies.
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub async fn flush(&self) -> Result<()> {
        self.store().flush().await.map_err(during("flush"))
    }

    /// Flushes the store, stops its tasks and frees its resources, for all who share the store.
    ///
    /// # Errors
    ///
    /// If the last flush failed.
    pub async fn close(&self) -> Result<()> {
        self.store().close().await.map_err(during("close"))
    }
}
