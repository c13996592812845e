//! Errors of store operations.

use std::{error::Error as StdError, fmt, sync::Arc};

use crate::{
    error::{Error, ErrorKind},
    id::SessionId,
};

/// A store operation failed. That never means that a session is absent.
///
/// `Display` names the operation and the id, never a token or a value. Clones share one allocation.
///
/// ```
/// use session_layer::{store::{StoreError, StoreErrorKind}};
///
/// let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let error = StoreError::new(StoreErrorKind::Unavailable).during("load").because(cause);
/// assert_eq!(error.to_string(), "load: the store is unavailable");
/// ```
#[derive(Clone)]
pub struct StoreError(Arc<Repr>);

#[derive(Clone)]
struct Repr {
    kind: StoreErrorKind,
    operation: Option<&'static str>,
    id: Option<SessionId>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of failure of a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store can't be reached, or can't write. Nothing was changed.
    Unavailable,
    /// The store did not answer in time. Nothing was changed.
    Timeout,
    /// The stored bytes are not a record, or no key opens them. They stay as they are.
    Corrupt,
    /// The record is larger than the store can hold. The stored record stays as it is.
    TooLarge,
    /// Another holder has the lease.
    Leased,
    /// The store has no such operation.
    Unsupported,
    /// A write was sent, but no answer came. It may or may not have happened, as a whole.
    OutcomeUnknown,
    /// A write was sent, but fewer replicas have confirmed it than the store's settings require. It may have happened,
    /// and a failover may undo it. Unlike after [`OutcomeUnknown`](Self::OutcomeUnknown), reading it back settles
    /// nothing: even if the write is found, don't treat it as done.
    NotReplicated,
    /// Anything else. Nothing was changed.
    Other,
}

impl StoreError {
    /// Creates an error of this kind.
    #[must_use]
    pub fn new(kind: StoreErrorKind) -> Self {
        Self(Arc::new(Repr { kind, operation: None, id: None, source: None }))
    }

    /// Creates an error of kind [`Unsupported`](StoreErrorKind::Unsupported) for this operation.
    #[must_use]
    pub fn unsupported(operation: &'static str) -> Self {
        Self::new(StoreErrorKind::Unsupported).during(operation)
    }

    /// Adds the operation that failed, unless one is named already.
    #[must_use]
    pub fn during(self, operation: &'static str) -> Self {
        self.change(|repr| repr.operation = repr.operation.or(Some(operation)))
    }

    /// Adds the session that the operation was about, unless one is named already.
    #[must_use]
    pub fn on(self, id: &SessionId) -> Self {
        self.change(|repr| repr.id = repr.id.or(Some(*id)))
    }

    /// Adds the cause, which must contain neither a value nor a token.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.change(|repr| repr.source = Some(Arc::from(source.into())))
    }

    fn change(mut self, change: impl FnOnce(&mut Repr)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Changes the kind.
    #[cfg(feature = "redis")]
    pub(crate) fn of_kind(self, kind: StoreErrorKind) -> Self {
        self.change(|repr| repr.kind = kind)
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.0.kind
    }

    /// Returns whether the call may have changed something. This is so for the kinds
    /// [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown) and [`NotReplicated`](StoreErrorKind::NotReplicated). After
    /// an error of any other kind, nothing has changed.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self.0.kind, StoreErrorKind::OutcomeUnknown | StoreErrorKind::NotReplicated)
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The session that the operation was about.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.0.id
    }
}

/// Logs a failed operation of a store under its target, with the session and the cause if they are known: as an error if
/// the stored bytes are damaged, otherwise as a warning.
#[cfg(any(feature = "memcached", feature = "redis", feature = "postgres", feature = "mysql", feature = "sqlite"))]
macro_rules! log_failed {
    ($target:expr, $operation:expr, $error:expr) => {{
        let (operation, error): (&str, &$crate::store::StoreError) = ($operation, $error);
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let id = error.id().map(tracing::field::display);
        match error.kind() {
            $crate::store::StoreErrorKind::Corrupt => {
                tracing::error!(target: $target, id, operation, %error, cause, "failed");
            }
            _ => tracing::warn!(target: $target, id, operation, %error, cause, "failed"),
        }
    }};
}
#[cfg(any(feature = "memcached", feature = "redis", feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use log_failed;

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the store is unavailable",
            Self::Timeout => "the store did not answer in time",
            Self::Corrupt => "the stored record can't be opened",
            Self::TooLarge => "the record is too large for the store",
            Self::Leased => "the session is leased by another holder",
            Self::Unsupported => "the store does not support this operation",
            Self::OutcomeUnknown => "the write was not answered: it may or may not have happened",
            Self::NotReplicated => "the write was not confirmed by enough replicas: a failover may undo it",
            Self::Other => "the store failed",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.operation, self.0.id) {
            (Some(operation), Some(id)) => write!(f, "{operation} of session {id}: {}", self.0.kind),
            (Some(operation), None) => write!(f, "{operation}: {}", self.0.kind),
            (None, Some(id)) => write!(f, "session {id}: {}", self.0.kind),
            (None, None) => self.0.kind.fmt(f),
        }
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("StoreError");
        debug.field("kind", &self.0.kind).field("operation", &self.0.operation).field("id", &self.0.id);
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Timeout => ErrorKind::Unavailable,
            StoreErrorKind::Corrupt => ErrorKind::Damaged,
            StoreErrorKind::TooLarge => ErrorKind::TooLarge,
            StoreErrorKind::Leased => ErrorKind::Locked,
            StoreErrorKind::Unsupported => ErrorKind::Unsupported,
            StoreErrorKind::OutcomeUnknown | StoreErrorKind::NotReplicated => ErrorKind::OutcomeUnknown,
            StoreErrorKind::Other => ErrorKind::Other,
        };
        match error.id() {
            Some(id) => Self::session(kind, id),
            None => Self::request(kind),
        }
        .because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_operation_id_and_cause() {
        let id = SessionId::for_epoch("x");
        let error = StoreError::new(StoreErrorKind::Timeout).during("update").on(&id).because("250 ms are over");
        assert_eq!(error.to_string(), format!("update of session {id}: the store did not answer in time"));
        assert_eq!(error.source().unwrap().to_string(), "250 ms are over");
        assert_eq!(error.clone().during("load").operation(), Some("update"));

        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(&id.to_string()));
        assert!(error.source().unwrap().to_string().starts_with("update of session"));
    }
}
