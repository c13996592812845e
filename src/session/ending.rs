//! The sessions that a request ends.

use super::live::{Doomed, EndedBeside, Live};
use crate::id::SessionId;

/// The sessions that the request ends, has ended, or must end before it begins a fresh one.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Sessions that wait for their destroy.
    pub(crate) doomed: Vec<Doomed>,
    /// Sessions that the handler has ended by owner or id, not through its session.
    pub(crate) beside: Vec<EndedBeside>,
    /// Sessions of the request's tokens that could not be opened, in place of which the visitor started anew.
    pub(crate) unopened: Vec<SessionId>,
    /// Sessions of the request's tokens that are revoked. A fresh session ends them.
    pub(crate) revoked: Vec<SessionId>,
    /// How often this request has destroyed its session. If a commit began before that and stores a session, that
    /// session ends as well.
    pub(crate) destroys: u64,
}

impl Ending {
    /// Whether the handler has ended this session by its owner or its id.
    pub(crate) fn has_ended_beside(&self, live: &Live) -> bool {
        self.beside.iter().any(|ended| ended.covers(live))
    }
}
