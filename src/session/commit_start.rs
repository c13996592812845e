//! What a commit began with.

use super::draft::Draft;
use crate::id::SessionId;

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
