//! The setting that limits an owner's sessions.

use super::SessionLayerBuilder;
use crate::session::{AtLimit, Limit};

/// # Sessions per owner
impl<R> SessionLayerBuilder<R> {
    /// How many sessions an owner can have at a time, and what becomes of a login beyond that. Default: no limit.
    ///
    /// It is applied when a [`login`](crate::Session::login), or a [`set_owner`](crate::Session::set_owner), is
    /// committed: at the end of the request, or in [`save`](crate::Session::save), where a handler can see the error. A
    /// session that logs in again makes room for itself.
    ///
    /// - With [`AtLimit::EndOldest`] the sessions that were used longest ago are ended first, and then the login is
    ///   stored: if they can't be ended, it is an error, and if the login can't be stored, they have ended all the
    ///   same. Their requests that are under way can save nothing any more.
    /// - With [`AtLimit::Refuse`] the commit is [`TooManySessions`](crate::ErrorKind::TooManySessions): 409, and
    ///   [`error_response`](Self::error_response) can choose another answer. The visitor's session stays as it was.
    ///
    /// **At the same moment**: within one process and layer, logins of one owner come one after another, and the limit is
    /// never passed. Several processes can each let one in; each counts again after it has stored its own, and ends the
    /// surplus, so the limit holds again when all are answered. Under `EndOldest` that can end a session that has just
    /// begun; under `Refuse` each of two that took the last place can be refused, and then its visitor starts anew.
    ///
    /// It counts the sessions that the store lists. [`MemoryStore`](crate::MemoryStore) and
    /// [`FileStore`](crate::FileStore) list exactly. memcached lists the last 1,000 sessions in an item that can be
    /// evicted: sessions that are not on it are not counted. On a store that can't list, a login is an error:
    /// [`Unsupported`](crate::ErrorKind::Unsupported), 500. If the store does not answer, the error is 503.
    ///
    /// ```
    /// use session_layer::{AtLimit, MemoryStore, SessionLayer};
    ///
    /// let layer = SessionLayer::builder(MemoryStore::new()).sessions_per_owner(5, AtLimit::EndOldest).build()?;
    /// # Ok::<(), session_layer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn sessions_per_owner(mut self, most: usize, at_limit: AtLimit) -> Self {
        self.settings.limit = Some(Limit { most, at_limit });
        self
    }
}
