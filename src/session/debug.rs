//! The `Debug` output of a session.

use std::fmt;

use super::request_session::RequestSession;
use crate::clock::Shown;

/// Shows the session's metadata and keys, but none of its values.
impl fmt::Debug for RequestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let stored = state.live().map(|live| &live.stored);
        f.debug_struct("Session")
            .field("id", &Brief(state.live().map(|live| live.id)))
            .field("owner", &Brief(state.draft.owner()))
            .field("keys", &state.draft)
            .field("created_at", &Brief(stored.map(|stored| Shown(stored.record.created_at()))))
            .field("last_used_at", &Brief(stored.map(|stored| Shown(stored.used_at))))
            .field("expires_at", &Brief(stored.map(|stored| Shown(stored.expires_at))))
            .field("changed", &state.has_changes())
            .finish()
    }
}

/// Shows the value without its `Some`.
struct Brief<T>(Option<T>);

impl<T: fmt::Debug> fmt::Debug for Brief<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("None"),
        }
    }
}
