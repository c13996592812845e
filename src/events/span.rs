//! The spans around what waits for a store, at debug level.

use tracing::{Span, debug_span};

use super::trace::SESSION;
use crate::id::SessionId;

/// Around the load of one session.
pub(crate) fn load(id: &SessionId) -> Span {
    debug_span!(target: SESSION, "session load", session.id = %id)
}

/// Around the commit of a session, which has no id yet if it is new.
pub(crate) fn commit(id: impl FnOnce() -> Option<SessionId>) -> Span {
    debug_span!(target: SESSION, "session commit", session.id = id().map(tracing::field::display))
}
