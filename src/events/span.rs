//! The spans around waits for a store, at debug level.

use tracing::{Level, Span, debug_span, level_filters::LevelFilter};

use super::trace::SESSION;
use crate::id::SessionId;

/// Whether debug spans are enabled. Checked before a future is wrapped, since even a disabled span is entered and left
/// at each poll.
pub(crate) fn are_wanted() -> bool {
    Level::DEBUG <= LevelFilter::current()
}

/// Spans the load of one session.
pub(crate) fn load(id: &SessionId) -> Span {
    debug_span!(target: SESSION, "session load", session.id = %id)
}

/// Spans the commit of a session, which has no id yet if it is new.
pub(crate) fn commit(id: Option<SessionId>) -> Span {
    debug_span!(target: SESSION, "session commit", session.id = id.map(tracing::field::display))
}
