//! The store as a whole, and what it knows beside the data.

use std::time::Duration;

use super::{
    Sessions,
    sessions::{during, failed},
};
use crate::{
    error::Result,
    id::SessionId,
    session::{Caller, EndedBeside},
    store::{Idle, Metadata, SessionStatus, SessionStore, Swept, required},
};

/// # The store as a whole
///
/// Each is [`Unsupported`](crate::ErrorKind::Unsupported) where the store can't.
impl Sessions {
    /// How many live sessions there are, revoked ones that are not removed yet included.
    ///
    /// # Errors
    ///
    /// Those of the store.
    #[doc(alias = "len")]
    pub async fn count(&self) -> Result<u64> {
        required::listing(self.store(), "count")?.count().await.map_err(during("count"))
    }

    /// Ends all sessions of all owners and visitors. Returns how many there were, or 0 if the store can't count.
    ///
    /// # Errors
    ///
    /// The store's errors; then sessions may live on. [`Unsupported`](crate::ErrorKind::Unsupported) if the store can't
    /// clear: memcached needs the setting `clear_by_generation`.
    pub async fn clear(&self) -> Result<u64> {
        let caller = Caller::present();
        let cleared = required::clearing(self.store(), "clear")?.clear().await.map_err(during("clear"))?;
        caller.has_ended(Some(EndedBeside::All));
        Ok(cleared)
    }

    /// Removes what has expired, for its space.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn sweep(&self) -> Result<Swept> {
        required::listing(self.store(), "sweep")?.sweep().await.map_err(during("sweep"))
    }

    /// Ends sessions that have not been used for this long, and removes what has expired.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn delete_idle(&self, unused_for: Duration) -> Result<Swept> {
        required::listing(self.store(), "delete_idle")?
            .delete_idle(Idle::new(unused_for).touch_after(self.context.settings.touch_after))
            .await
            .map_err(during("delete_idle"))
    }

    /// What is known of a session beside its data; `None` if it is absent. It is no use of the session. An expired one
    /// that is not swept yet may still be told of, and so may a revoked one: see [`contains`](Self::contains).
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>> {
        self.store().metadata(id).await.map_err(failed("metadata", id))
    }

    /// Active, expired or locked; `None` if it is absent.
    ///
    /// # Errors
    ///
    /// As [`metadata`](Self::metadata).
    pub async fn status(&self, id: &SessionId) -> Result<Option<SessionStatus>> {
        Ok(self.metadata(id).await?.map(|metadata| metadata.status))
    }

    /// Makes what was written durable, as far as the store can: a snapshot, a sync, or the last replies awaited.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn flush(&self) -> Result<()> {
        self.store().flush().await.map_err(during("flush"))
    }

    /// Flushes, stops the store's tasks and lets go of its resources: for all who share the store.
    ///
    /// # Errors
    ///
    /// If the last flush failed.
    pub async fn close(&self) -> Result<()> {
        self.store().close().await.map_err(during("close"))
    }
}
