//! What failed commits leave behind.

use super::{
    commit_start::CommitStart,
    live::{Origin, Unsure},
};
use crate::error::Error;

/// A failed commit that was reported to the application.
#[derive(Debug, Clone)]
pub(crate) struct HeldBack {
    pub(crate) error: Error,
    /// The application has changed the session since. These changes may rely on the failed ones, so they are not
    /// written alone.
    pub(crate) written_since: bool,
}

/// What the request's failed commits have left behind.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The latest commit has failed, and this was reported. Nothing is written until the application asks again.
    pub(crate) held_back: Option<HeldBack>,
    /// The error that replaces the response.
    pub(crate) for_response: Option<Error>,
    /// The error of the latest commit that had an unknown outcome and whose closures were withdrawn. The closures may
    /// include those of other callers.
    pub(crate) lost_closures: Option<Error>,
    /// The number of such commits.
    pub(crate) lost_commits: u64,
    /// A move to a new token that was not answered, and what was committed with it.
    pub(crate) unsure: Option<Box<(Box<Unsure>, CommitStart)>>,
    /// The stored state, if the latest commit met a conflict that it could not merge.
    pub(crate) newer: Option<Box<Origin>>,
}

impl Failures {
    /// Notes that the application has changed the session. If changes are held back, the new one relies on them.
    pub(crate) fn note_change(&mut self) {
        if let Some(held_back) = &mut self.held_back {
            held_back.written_since = true;
        }
    }
}
