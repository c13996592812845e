//! The state that a commit began with, and a commit that the ordinary one takes over.

use tracing::Span;

use super::{draft::Draft, live::Refused};
use crate::id::SessionId;

/// A commit that was begun at once and that the ordinary commit takes over.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// The commit's span, if there is one yet.
    pub(crate) span: Option<Span>,
    /// The update that was made, if the store has refused it.
    pub(crate) refused: Option<Refused>,
    /// Whether the handler has asked for any part of the commit, if that was found out already.
    pub(crate) is_handlers: Option<bool>,
}

/// The state that a commit began with. Later changes are not in it.
#[derive(Debug, Clone)]
pub(crate) struct CommitStart {
    /// The session's id.
    pub(crate) id: Option<SessionId>,
    /// The session as the application saw it.
    pub(crate) shown: Draft,
    /// The number of the last change in it.
    pub(crate) last: u64,
    /// How often the session had been destroyed.
    pub(crate) destroys: u64,
    /// How many entries `Ending::beside` had.
    pub(crate) ended_beside: usize,
    /// The new token is left to a later commit.
    pub(crate) defers_renewal: bool,
}
