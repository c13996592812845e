//! The policies that an application chooses for a layer.

use std::{fmt, sync::Arc};

/// What happens when another request changed the session between this one's load and its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// The request's changes are replayed on the newer record, key by key; `update` closures run again.
    ///
    /// Setting or taking an entry that this request has read, and that another has changed since, fails with
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), and the answer is 409, since a value computed from the old
    /// one would undo the other's update. Setting an entry without having read it overwrites the other's value.
    /// Removing an entry that is already gone succeeds.
    #[default]
    Merge,
    /// As [`Merge`](Self::Merge), but if two requests set one entry, the later one wins even if it has read the entry
    /// before: **an update by `get` and `insert` can be lost.** `update` closures still run again.
    MergeLastWriteWins,
    /// The commit fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), and the answer is 409. Another request's
    /// renewal of the token is such a change, too.
    Reject,
    /// The request's view of the whole session replaces the newer record: **what others wrote meanwhile is lost.**
    /// There are three exceptions: a session that is gone stays gone; a request with the token from before a renewal is
    /// merged; and [`take_now`](crate::Session::take_now) is merged.
    LastWriteWins,
}

/// When a session that exists is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SavePolicy {
    /// When its data has changed.
    #[default]
    Changed,
    /// At the end of each request that extracted it, changed or not. This costs a write where a touch would do.
    Always,
}

/// What happens when the record of a visitor's session is damaged, or no key opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DamagedPolicy {
    /// The extractor answers 500 and the record stays as it is, so that it can be looked into and repaired.
    #[default]
    Fail,
    /// The visitor starts over with an empty session, which gets a new id once it is written to: **what the damaged
    /// record held is out of the visitor's reach.** The record itself stays as it is until it expires.
    StartOver,
}

/// The head of a response, by which [`save_if`](crate::SessionLayerBuilder::save_if) decides whether changes are saved.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: &'a http::HeaderMap,
    /// The extensions that layers and handlers have put into the response.
    pub extensions: &'a http::Extensions,
}

impl ResponseHead<'_> {
    /// Returns whether the response reports a failure on the server's side: a server error (5xx) or 408 Request Timeout
    /// (RFC 9110, sections 15.6 and 15.5.9). By default the changes of such a request are dropped.
    ///
    /// `tower_http::timeout::TimeoutLayer` answers 408 when it stops a handler half way.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status.is_server_error() || self.status == http::StatusCode::REQUEST_TIMEOUT
    }
}

type Decision = Arc<dyn Fn(&ResponseHead<'_>) -> bool + Send + Sync>;

/// Decides whether the changes of a request are saved. Default: unless its response is a failure.
#[derive(Clone, Default)]
pub(crate) struct SaveIf(Option<Decision>);

impl SaveIf {
    pub(crate) fn new(decision: impl Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decision)))
    }

    pub(crate) fn allows(&self, head: &ResponseHead<'_>) -> bool {
        match &self.0 {
            Some(decision) => decision(head),
            None => !head.is_failure(),
        }
    }
}

impl fmt::Debug for SaveIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "SaveIf(..)" } else { "SaveIf(not a failure)" })
    }
}

/// What happens to a login when its owner has as many sessions as are allowed; see
/// [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AtLimit {
    /// The new login is refused.
    Refuse,
    /// The sessions that were used longest ago are ended to make room.
    EndOldest,
}

/// At most so many sessions for each owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) most: usize,
    pub(crate) at_limit: AtLimit,
}
