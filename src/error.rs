//! The crate's error type.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::id::{EntropyError, ParseIdError, SessionId};

/// The result of a session operation, by default with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of session operations.
///
/// `Display` says what happened, and to which entry or session. It never contains an entry's value or a token. Match on
/// [`kind`](Self::kind) in code; [`source`](StdError::source) is the underlying cause. Clones share one error.
///
/// Every other error of the crate converts into this one, so a handler or a `main` that returns it can use `?`
/// throughout.
///
/// # As a response
///
/// With axum, an `Error` is the rejection of the extractors, and can be returned as a response. The response is the
/// same wherever the error arises: in an extractor, in a handler, or in the commit after the handler has answered. It
/// has the error's [`status`](Self::status), a `Retry-After` header if [`retry_after`](Self::retry_after) is known,
/// and a short text for the visitor without internal details. The error's own message is for the log: server errors
/// are reported as events.
///
/// To respond differently, use [`error_response`](crate::SessionLayerBuilder::error_response).
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

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No `SessionLayer` wraps the route.
    MissingLayer,
    /// The request has the cookies of two live sessions, and one of them may have been planted. Neither session is
    /// ended. If the response is a 4xx, the layer removes the cookies from the browser, as far as that is possible:
    /// see [`CookieConfig`](crate::CookieConfig#two-live-cookies).
    TwoSessions,
    /// The session has no owner.
    NoOwner,
    /// The text is not a [`SessionId`].
    InvalidId,
    /// The layer, a store, a key ring or a lifetime can't be set up as configured.
    Setup,
    /// The value can't be encoded.
    Encode,
    /// The stored entry can't be decoded as the requested type. The entry is left unchanged.
    Decode,
    /// The key is empty, longer than 255 bytes, or begins with a NUL.
    InvalidKey,
    /// The owner's name is empty, or longer than 1,024 bytes.
    InvalidOwner,
    /// The record would be larger than the layer's limit or the store's.
    TooLarge,
    /// The request's token was replaced by a newer one, usually at a login in another request. Its changes are
    /// refused.
    Superseded,
    /// The session was destroyed or revoked, or has expired, while the request was under way.
    Gone,
    /// The session to end was not found, but may live on under a newer token. The request has held the session for so
    /// long that the tombstone that leads to the newer token may have expired. Sign out again with the present cookie,
    /// or end all of the owner's sessions.
    Unconfirmed,
    /// Another request changed an entry that this one has read and wants to set or take; [`Error::key`] names the
    /// entry. Or another request changed the session, and either the layer rejects all conflicts, or the session's
    /// requests run one after another.
    ///
    /// To continue from what is stored now, call [`discard`](crate::Session::discard).
    Conflict,
    /// Other requests changed the session again and again, until the time for retries was over.
    Contended,
    /// The login was refused, since its owner has as many sessions as the layer allows.
    TooManySessions,
    /// The operation would need to set a cookie, but the response's headers have been sent.
    ResponseStarted,
    /// The session has changes that are not saved, and the operation would drop them
    /// ([`reload`](crate::Session::reload)) or needs them saved
    /// ([`revoke_others`](crate::Session::revoke_others) after a login).
    UnsavedChanges,
    /// Another holder has the session's lease. As a rejection, under
    /// [`exclusive`](crate::SessionLayerBuilder::exclusive): other requests had the session for as long as this one was
    /// to wait, or too many were waiting already. Nothing was read or changed.
    Locked,
    /// The store could not answer, or not in time. This says nothing about whether the session exists.
    Unavailable,
    /// A write was sent and not answered: it may or may not have happened.
    OutcomeUnknown,
    /// The record is damaged, or no key opens it. It is left unchanged.
    Damaged,
    /// The store doesn't support the operation.
    Unsupported,
    /// The operating system provided no random numbers for a token.
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

    /// An error about a whole struct, or about one field of it.
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

    /// Adds the cause. It must contain neither a value nor a token.
    pub(crate) fn because(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|repr| repr.source = Some(Arc::new(source)))
    }

    /// Adds the time to wait before a retry.
    pub(crate) fn retry_in(self, time: Duration) -> Self {
        self.with(|repr| repr.retry_after = Some(time))
    }

    /// Marks the error as reported by an event, so that it is not reported again when it becomes a response.
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

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the key of the entry in question, if the error is about one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::Entry { key, .. } | Subject::Limit { key: Some(key), .. } => Some(key),
            Subject::Typed { key, .. } => *key,
            _ => None,
        }
    }

    /// Returns the number of seconds to wait before a retry, for a `Retry-After` header (RFC 9110, section 10.2.3).
    ///
    /// Only [`Locked`](ErrorKind::Locked) as a rejection has it. It is the layer's time to wait, or the time of a
    /// lease if that is shorter, and at least 1. After the time to wait, all requests that wait now have had their
    /// turn or have given up.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let time = self.0.retry_after?;
        Some(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1))
    }

    /// Returns the text for the visitor, without internal details.
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

    /// Returns the id of the stored session in question, if the error is about one.
    pub(crate) fn session_id(&self) -> Option<SessionId> {
        match self.0.subject {
            Subject::Session(id) => Some(id),
            _ => None,
        }
    }

    /// Returns the HTTP status that fits this error (RFC 9110, section 15, and RFC 4918 for 423).
    ///
    /// | status | if |
    /// |---|---|
    /// | 400 | the request has two live cookies, or a text is not a session id |
    /// | 403 | the session has no owner |
    /// | 409 | another request, or the owner's other sessions, prevented the operation |
    /// | 413 | the record would be too large |
    /// | 423 | another holder has the lease |
    /// | 503 | the store did not answer, or conflicts did not end in time |
    /// | 500 | for all other errors |
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
                "is not available: no SessionLayer wraps this route; add `.layer(SessionLayer::new(store))` to the router, after \
                 the route"
            }
            Self::TwoSessions => "is ambiguous: the request has the cookies of two live sessions",
            Self::NoOwner => "has no owner: nobody is logged in",
            Self::InvalidId => "has an invalid id",
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
            Self::TooManySessions => "was refused: its owner has the maximum number of sessions",
            Self::ResponseStarted => "can't get a cookie any more: the response has begun",
            Self::UnsavedChanges => "has changes that are not saved: call save first",
            Self::Locked => "is leased by another holder",
            Self::Unavailable => "could not be reached: its store is unavailable",
            Self::OutcomeUnknown => "may or may not have been written: its store did not answer",
            Self::Damaged => "can't be opened: its record is damaged or sealed with an unknown key",
            Self::Unsupported => "doesn't support this operation: its store lacks it",
            Self::Entropy => "can't get a token: the system provided no random numbers",
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
