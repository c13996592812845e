//! What is known of a session: its id and its times.

use std::time::SystemTime;

use super::session::Session;
use crate::id::SessionId;

/// # Identity and times
impl Session {
    /// Returns the id of the session, which is the store's key and safe to log. Returns `None` for a new session that
    /// is not stored yet.
    ///
    /// After [`login`](Self::login) or [`renew`](Self::renew), this is the old id until the change is committed.
    #[must_use]
    #[doc(alias("session_id", "sessionID", "get_session_id"))]
    pub fn id(&self) -> Option<SessionId> {
        self.request.state().live().map(|live| live.id)
    }

    /// Returns `true` if no session is stored for this visitor yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.request.state().live().is_none()
    }

    /// Returns when the absolute clock was started: at creation, and again at each login. `None` for a new session.
    #[must_use]
    pub fn created_at(&self) -> Option<SystemTime> {
        self.request.state().live().map(|live| live.stored.record.created_at())
    }

    /// Returns when the session was last used, as recorded in the store: by the request before this one, as precisely
    /// as throttled touches allow, or by what this request has saved or touched. `None` for a new session.
    #[must_use]
    pub fn last_used_at(&self) -> Option<SystemTime> {
        self.request.state().live().map(|live| live.stored.used_at)
    }

    /// Returns when the session expires if nothing more is written, as recorded in the store. `None` for a new session.
    #[must_use]
    #[doc(alias("expiry", "expiry_date", "expiry_age"))]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.request.state().live().map(|live| live.stored.expires_at)
    }
}
