//! The setting that limits the number of an owner's sessions.

use super::SessionLayerBuilder;
use crate::session::{AtLimit, OwnerLimit};

/// # Sessions per owner
impl<R> SessionLayerBuilder<R> {
    /// Limits how many sessions an owner can have at a time, and sets what happens at a login beyond the limit.
    /// Default: no limit.
    ///
    /// The limit is applied when a [`login`](crate::Session::login) or a [`set_owner`](crate::Session::set_owner) is
    /// committed: at the end of the request, or in [`save`](crate::Session::save), where the handler can see the
    /// error. If a session logs in again, the session that it replaces doesn't count.
    ///
    /// - With [`AtLimit::EndOldest`], the least recently used sessions are ended first, and then the login is stored.
    ///   If they can't be ended, the login fails. If the login can't be stored, they have ended all the same. Requests
    ///   of the ended sessions that are under way can't save anything.
    /// - With [`AtLimit::Refuse`], the commit fails with [`TooManySessions`](crate::ErrorKind::TooManySessions) (409);
    ///   [`error_response`](Self::error_response) can choose another response. The visitor's session stays as it was.
    ///
    /// **Simultaneous logins**: within one process and layer, logins of one owner take turns, and the limit is never
    /// exceeded. Several processes can each admit one login at the same moment. Each process then counts again after
    /// it has stored its own session, and ends the surplus, so the limit holds again when all logins are answered.
    /// With `EndOldest`, this can end a session that has just begun. With `Refuse`, if two logins took the last place,
    /// both can be refused, and their visitors start anew.
    ///
    /// Only sessions that the store lists are counted. [`MemoryStore`](crate::MemoryStore) and
    /// [`FileStore`](crate::FileStore) list exactly. memcached lists the last 1,000 sessions in an item that can be
    /// evicted; sessions that are not in it are not counted. If the store can't list, a login fails with
    /// [`Unsupported`](crate::ErrorKind::Unsupported) (500). If the store does not answer, it fails with 503.
    ///
    /// ```
    /// use session_layer::{AtLimit, MemoryStore, SessionLayer};
    ///
    /// let layer = SessionLayer::builder(MemoryStore::new()).sessions_per_owner(5, AtLimit::EndOldest).build()?;
    /// # Ok::<(), session_layer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn sessions_per_owner(mut self, most: usize, at_limit: AtLimit) -> Self {
        self.parts.settings.sessions_per_owner = Some(OwnerLimit { most, at_limit });
        self
    }
}
