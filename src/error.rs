//! The crate's error: why a session can't be had or used.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::id::{EntropyError, ParseIdError, SessionId};

/// A result of an operation on a session.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a session can't be had, or an operation on it failed.
///
/// `Display` says what happened and to which entry or session; it never holds a value or a token. [`kind`](Self::kind)
/// is for code, [`source`](StdError::source) for the cause below. Clones share one error.
///
/// Every other error of the crate converts into it, so a handler or a `main` that returns it can use `?` throughout.
///
/// # As a response
///
/// With axum, an `Error` is the rejection of the extractors and a response. The answer is the same wherever the error
/// arises: as a rejection, returned by a handler, or at the commit after the handler has answered. It has the error's
/// [`status`](Self::status), `Retry-After` where [`retry_after`](Self::retry_after) is known, and a text for the visitor
/// that names nothing internal. The error's own text is for the log, where server errors are reported.
///
/// To answer differently, use [`error_response`](crate::SessionLayerBuilder::error_response).
#[derive(Clone)]
pub struct Error(Arc<Repr>);

#[derive(Clone)]
struct Repr {
    kind: ErrorKind,
    subject: Subject,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    retry_after: Option<Duration>,
    #[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only axum's responses report errors"))]
    is_reported: bool,
}

#[derive(Clone)]
enum Subject {
    Request,
    Session(SessionId),
    Entry { key: String, type_name: Option<&'static str> },
    Limit { key: Option<String>, bytes: usize, limit: usize },
    Typed { type_name: &'static str, key: Option<&'static str> },
}

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No `SessionLayer` wraps the route.
    MissingLayer,
    /// The request brought the cookies of two live sessions: one of them may have been planted. Both sessions live on.
    /// If the answer is a 4xx, the layer adds lines that remove the cookies from the browser, as far as that is
    /// possible: see [`CookieConfig`](crate::CookieConfig#two-live-cookies).
    TwoSessions,
    /// The session has no owner.
    NoOwner,
    /// The text is not a [`SessionId`].
    InvalidId,
    /// The layer, a store, a key ring or a lifetime can't be set up as configured.
    Setup,
    /// The value can't be encoded.
    Encode,
    /// The stored entry can't be read as the type asked for. The entry stays as it is.
    Decode,
    /// The key is empty, longer than 255 bytes, or begins with a NUL.
    InvalidKey,
    /// The owner's name is empty, or longer than 1,024 bytes.
    InvalidOwner,
    /// The record would be larger than the layer's limit or the store's.
    TooLarge,
    /// The request's token was replaced by a newer one (after a login elsewhere): what it wants to write is refused.
    Superseded,
    /// The session was destroyed, revoked or has expired while the request was under way.
    Gone,
    /// The session to be ended was not found, but may have moved on to a newer token: the request has held it for so
    /// long that its tombstone may have expired. Sign out with the present cookie, or end all of the owner's sessions.
    Unconfirmed,
    /// Another request changed an entry that this one has read and wants to set or take; [`Error::key`] names the
    /// entry. Or another request changed the session, and either the layer's policy is to reject, or the session's
    /// requests run one after another.
    ///
    /// To continue from what is stored now, call [`discard`](crate::Session::discard).
    Conflict,
    /// Other requests changed the session again and again, and the time to retry is over.
    Contended,
    /// The owner that was to log in has as many sessions as the layer allows.
    TooManySessions,
    /// The response's headers have been sent, and what was asked for would need a cookie.
    ResponseStarted,
    /// [`reload`](crate::Session::reload) would drop changes that are not saved.
    UnsavedChanges,
    /// Another holder has the lease of the session. As a rejection: requests of one session run one after another, and
    /// others had it for as long as this one was to wait, or too many wait already (see
    /// [`exclusive`](crate::SessionLayerBuilder::exclusive)). Nothing was read or changed.
    Locked,
    /// The store could not answer, or not in time. This says nothing about whether the session exists.
    Unavailable,
    /// A write was sent and not answered: it may or may not have happened.
    OutcomeUnknown,
    /// The record is damaged, or no key opens it. It stays as it is.
    Damaged,
    /// The store has no such operation.
    Unsupported,
    /// The operating system gave no random numbers for a token.
    Entropy,
    /// Another failure, usually of the store.
    Other,
}

impl Error {
    pub(crate) fn request(kind: ErrorKind) -> Self {
        Self::build(kind, Subject::Request)
    }

    pub(crate) fn session(kind: ErrorKind, id: SessionId) -> Self {
        Self::build(kind, Subject::Session(id))
    }

    pub(crate) fn entry(kind: ErrorKind, key: &str, type_name: Option<&'static str>) -> Self {
        Self::build(kind, Subject::Entry { key: key.to_owned(), type_name })
    }

    /// About a struct as a whole, or one field of it.
    pub(crate) fn typed(kind: ErrorKind, type_name: &'static str, key: Option<&'static str>) -> Self {
        Self::build(kind, Subject::Typed { type_name, key })
    }

    pub(crate) fn too_large(key: Option<&str>, bytes: usize, limit: usize) -> Self {
        Self::build(ErrorKind::TooLarge, Subject::Limit { key: key.map(str::to_owned), bytes, limit })
    }

    fn build(kind: ErrorKind, subject: Subject) -> Self {
        Self(Arc::new(Repr { kind, subject, source: None, retry_after: None, is_reported: false }))
    }

    /// An error in the configuration.
    pub(crate) fn setup(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::request(ErrorKind::Setup).because(source)
    }

    /// Adds the cause. It must hold neither a value nor a token.
    pub(crate) fn because(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|repr| repr.source = Some(Arc::new(source)))
    }

    /// Adds the time after which to try again.
    pub(crate) fn retry_in(self, time: Duration) -> Self {
        self.with(|repr| repr.retry_after = Some(time))
    }

    /// Notes that an event has reported the error, so that it is not reported again where it is answered.
    pub(crate) fn reported(self) -> Self {
        self.with(|repr| repr.is_reported = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Repr)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Whether an event has reported the error.
    #[cfg(feature = "axum")]
    pub(crate) fn is_reported(&self) -> bool {
        self.0.is_reported
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The key of the entry that the failure is about, if it is about one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::Entry { key, .. } | Subject::Limit { key: Some(key), .. } => Some(key),
            Subject::Typed { key, .. } => *key,
            _ => None,
        }
    }

    /// For [`Locked`](ErrorKind::Locked) as a rejection, the number of seconds after which to try again, for a
    /// `Retry-After` header (RFC 9110, section 10.2.3): the layer's time to wait, after which all who wait now have had
    /// their turn or given up, or the time of a lease if that is shorter; and at least 1.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let time = self.0.retry_after?;
        Some(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1))
    }

    /// The text for a visitor, without internals.
    #[cfg(feature = "axum")]
    pub(crate) fn public_text(&self) -> &'static str {
        match self.0.kind {
            ErrorKind::TwoSessions => {
                "the request has two session cookies: sign in again, and if that does not help, delete this site's cookies in \
                 the browser first"
            }
            ErrorKind::Locked => "the session is in use by other requests: try again later",
            ErrorKind::Unavailable | ErrorKind::Contended => "the session is not available now: try again later",
            _ => self.status().canonical_reason().unwrap_or_default(),
        }
    }

    /// The id of the stored session that failed, if the failure is about one.
    pub(crate) fn session_id(&self) -> Option<SessionId> {
        match self.0.subject {
            Subject::Session(id) => Some(id),
            _ => None,
        }
    }

    /// The HTTP status that fits this error (RFC 9110, section 15, and RFC 4918 for 423).
    ///
    /// 400 for two live cookies and for text that is not a session id, 403 if the session has no owner, 409 for what
    /// another request or the owner's other sessions prevented, 413 if the record is too large, 423 for a lease, 503 if
    /// the store could not answer, and 500 for the rest.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        use http::StatusCode;
        match self.0.kind {
            ErrorKind::TwoSessions | ErrorKind::InvalidId => StatusCode::BAD_REQUEST,
            ErrorKind::NoOwner => StatusCode::FORBIDDEN,
            ErrorKind::Superseded
            | ErrorKind::Gone
            | ErrorKind::Unconfirmed
            | ErrorKind::Conflict
            | ErrorKind::TooManySessions => StatusCode::CONFLICT,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Locked => StatusCode::LOCKED,
            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Contended => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingLayer => {
                "can't be had: no SessionLayer wraps this route; add `.layer(SessionLayer::new(store))` to the router, after \
                 the route"
            }
            Self::TwoSessions => "can't be told: the request has the cookies of two live sessions",
            Self::NoOwner => "has no owner: nobody is logged in",
            Self::InvalidId => "has another form of id",
            Self::Setup => "can't be set up",
            Self::Encode => "could not be encoded",
            Self::Decode => "could not be decoded",
            Self::InvalidKey => "has no valid key: a key has 1 to 255 bytes and does not begin with a NUL",
            Self::InvalidOwner => "has no valid owner: a name has 1 to 1,024 bytes",
            Self::TooLarge => "is too large",
            Self::Superseded => "was superseded by a newer token: sign in again, or retry with the present cookie",
            Self::Gone => "is gone: it was destroyed, revoked or has expired",
            Self::Unconfirmed => "may live on under a newer token: it was not found under this one",
            Self::Conflict => "was changed by another request",
            Self::Contended => "was changed by other requests again and again",
            Self::TooManySessions => "can't begin: its owner has as many as are allowed",
            Self::ResponseStarted => "can't get a cookie any more: the response has begun",
            Self::UnsavedChanges => "has changes that are not saved: call save first",
            Self::Locked => "is leased by another holder",
            Self::Unavailable => "could not be reached: its store is unavailable",
            Self::OutcomeUnknown => "may or may not have been written: its store did not answer",
            Self::Damaged => "can't be opened: its record is damaged or sealed with an unknown key",
            Self::Unsupported => "can't do this: its store has no such operation",
            Self::Entropy => "can't get a token: the system has no random numbers",
            Self::Other => "failed in its store",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.kind;
        match &self.0.subject {
            Subject::Request => write!(f, "the session {kind}"),
            Subject::Session(id) => write!(f, "session {id} {kind}"),
            Subject::Entry { key, type_name: Some(name) } => write!(f, "session entry {key:?} of type {name} {kind}"),
            Subject::Entry { key, type_name: None } => write!(f, "session entry {key:?} {kind}"),
            Subject::Typed { type_name, key: Some(key) } => {
                write!(f, "session entry {key:?}, a field of {type_name}, {kind}")
            }
            Subject::Typed { type_name, key: None } => write!(f, "typed session {type_name} {kind}"),
            Subject::Limit { key: Some(key), bytes, limit } => {
                write!(f, "with session entry {key:?} the record would have {bytes} bytes; at most {limit} are allowed")
            }
            Subject::Limit { key: None, bytes, limit } => {
                write!(f, "the session's record would have {bytes} bytes; at most {limit} are allowed")
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("message", &self.to_string());
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<EntropyError> for Error {
    fn from(error: EntropyError) -> Self {
        Self::request(ErrorKind::Entropy).because(error)
    }
}

impl From<ParseIdError> for Error {
    fn from(error: ParseIdError) -> Self {
        Self::request(ErrorKind::InvalidId).because(error)
    }
}
