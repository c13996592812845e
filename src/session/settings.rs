//! How the sessions of one layer behave.

use std::{
    any::Any,
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::{limit::Limit, queue::CommitQueue, running::Running, turn::Exclusive};
use crate::{
    clock::Clock,
    codec::Codec,
    cookie::Cookie,
    lifetime::Lifetime,
    store::{DynStore, Idle},
};

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

/// Everything that a layer's sessions and its requests ask it.
///
/// Apart from the counter of its `Arc`, which every request moves: else each thread's requests would take what all read out
/// of the others' caches.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Settings {
    pub(crate) store: DynStore,
    /// Who is told what happens.
    pub(crate) observers: crate::events::Observers,
    pub(crate) clock: Clock,
    pub(crate) codec: Codec,
    pub(crate) lifetime: Lifetime,
    /// A touch is due once this part of the idle time has passed.
    pub(crate) touch_after: f64,
    pub(crate) conflicts: ConflictPolicy,
    pub(crate) save: SavePolicy,
    pub(crate) damaged: DamagedPolicy,
    /// Whether a response lets the changes of its request be saved.
    pub(crate) save_if: SaveIf,
    /// The largest record, in bytes of its wire form.
    pub(crate) max_record: usize,
    /// How long a commit that meets conflicts is tried again.
    pub(crate) retry_for: Duration,
    pub(crate) cookie: Cookie,
    /// Whether responses say how far they may be cached.
    pub(crate) cache_headers: bool,
    /// The application's response to errors, a `CustomErrorResponse` of any body.
    pub(crate) error_response: Option<Arc<dyn Any + Send + Sync>>,
    /// The complaint about a layer nested under its own name was made.
    pub(crate) nested: AtomicBool,
    pub(crate) queue: CommitQueue,
    /// What goes on if its caller is dropped.
    pub(crate) running: Running,
    /// Its sessions are those of whoever holds their leases.
    pub(crate) holds_lease: bool,
    /// How long a request with the token from before a renewal is served.
    pub(crate) renewal_grace: Duration,
    /// How old a token gets before the layer renews it; `None` if it doesn't.
    pub(crate) renew_every: Option<Duration>,
    /// Requests of one session run one after another.
    pub(crate) exclusive: Option<Exclusive>,
    /// How many sessions an owner can have.
    pub(crate) limit: Option<Limit>,
}

impl Settings {
    /// The defaults over this store.
    pub(crate) fn new(store: DynStore) -> Self {
        Self {
            store,
            observers: crate::events::Observers::NONE,
            clock: Clock::system(),
            codec: Codec::Json,
            lifetime: Lifetime::default(),
            touch_after: Idle::DEFAULT_TOUCH_AFTER,
            conflicts: ConflictPolicy::default(),
            save: SavePolicy::default(),
            damaged: DamagedPolicy::default(),
            save_if: SaveIf::default(),
            max_record: 128 * 1_024,
            retry_for: Duration::from_secs(5),
            cookie: Cookie::default(),
            cache_headers: true,
            error_response: None,
            nested: AtomicBool::new(false),
            queue: CommitQueue::default(),
            running: Running::default(),
            holds_lease: false,
            renewal_grace: Duration::from_secs(60),
            renew_every: None,
            exclusive: None,
            limit: None,
        }
    }
    /// The same, but a commit that meets a conflict fails.
    pub(crate) fn rejecting(&self) -> Self {
        Self {
            store: self.store.clone(),
            observers: self.observers.clone(),
            clock: self.clock.clone(),
            codec: self.codec.clone(),
            lifetime: self.lifetime,
            touch_after: self.touch_after,
            conflicts: ConflictPolicy::Reject,
            save: self.save,
            damaged: self.damaged,
            save_if: self.save_if.clone(),
            max_record: self.max_record,
            retry_for: self.retry_for,
            cookie: self.cookie.clone(),
            cache_headers: self.cache_headers,
            error_response: self.error_response.clone(),
            nested: AtomicBool::new(false),
            // Who does not retry does not queue.
            queue: CommitQueue::default(),
            running: self.running.clone(),
            holds_lease: true,
            renewal_grace: self.renewal_grace,
            renew_every: None,
            exclusive: None,
            limit: self.limit,
        }
    }
}
