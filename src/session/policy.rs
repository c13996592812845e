//! The policies that an application chooses for a layer.

use std::{fmt, sync::Arc};

/// What happens if another request has changed the session between this one's load and its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// The request's changes are replayed on the newer record, key by key. `update` closures run again.
    ///
    /// If this request sets or takes an entry that it has read and another request has changed since, the commit fails
    /// with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) and the response is 409: a value computed from the old
    /// one would undo the other's update. Setting an entry without having read it overwrites the other's value.
    /// Removing an entry that is already gone succeeds.
    #[default]
    Merge,
    /// Like [`Merge`](Self::Merge), but if two requests set one entry, the later one wins even if it has read the entry
    /// before: **an update by `get` and `insert` can be lost.** `update` closures still run again.
    MergeLastWriteWins,
    /// The commit fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), and the response is 409. A write that
    /// changed no data, such as a renewal of the token, is not a conflict.
    Reject,
    /// The request's view of the whole session replaces the newer record: **what others have written in the meantime is
    /// lost.** There are three exceptions: a session that is gone stays gone, a request with the token from before a
    /// renewal is merged, and [`take_now`](crate::Session::take_now) is merged.
    LastWriteWins,
}

/// When an existing session is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SavePolicy {
    /// When its data has changed.
    #[default]
    Changed,
    /// At the end of each request that extracted it, changed or not. This costs a write where a touch would be enough.
    Always,
}

/// What happens when the record of a visitor's session is damaged, or no key opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DamagedPolicy {
    /// The extractor responds with 500. The record stays as it is, so that it can be examined and repaired.
    #[default]
    Fail,
    /// The visitor starts over with an empty session, which gets a new id once it is written to. **The visitor can't
    /// reach the data of the damaged record any more.** The record itself stays as it is until it expires.
    StartOver,
}

/// The head of a response. [`save_if`](crate::SessionLayerBuilder::save_if) decides by it whether changes are saved.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: &'a http::HeaderMap,
    /// The extensions that layers and handlers have added to the response.
    pub extensions: &'a http::Extensions,
}

impl ResponseHead<'_> {
    /// Returns `true` if the response reports a failure on the server's side: a server error (5xx) or 408 Request
    /// Timeout (RFC 9110, sections 15.6 and 15.5.9). By default, the changes of such a request are dropped.
    ///
    /// `tower_http::timeout::TimeoutLayer` usually responds with 408 when it stops a handler halfway.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status.is_server_error() || self.status == http::StatusCode::REQUEST_TIMEOUT
    }
}

type Decision = Arc<dyn Fn(&ResponseHead<'_>) -> bool + Send + Sync>;

/// Decides whether the changes of a request are saved. By default they are, unless the response is a failure.
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

/// What happens to a login if its owner already has the maximum number of sessions; see
/// [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AtLimit {
    /// The new login is refused.
    Refuse,
    /// The least recently used sessions are ended to make room.
    EndOldest,
}

/// The maximum number of sessions per owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnerLimit {
    pub(crate) most: usize,
    pub(crate) at_limit: AtLimit,
}
