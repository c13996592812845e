//! Errors of the database.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::store::{StoreError, StoreErrorKind};

/// An error of a [`SqlStore`](super::SqlStore)'s database, with advice where there is any.
///
/// Returned when a store is opened, and the [`source`](StdError::source) of an open store's [`StoreError`]s. `Display`
/// shows the database's message and its code, then the advice. The driver's error is the source.
pub struct SqlStoreError {
    meaning: Meaning,
    message: String,
    advice: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The effect of a failed request on the stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The request was not sent.
    NotSent(StoreErrorKind),
    /// The database refused the request; nothing was changed.
    Refused(StoreErrorKind),
    /// The database undid the request because of another transaction.
    Beaten,
    /// A row with this key exists already.
    Duplicate,
    /// The request was sent but not answered, or the answer doesn't show whether it took effect.
    Unanswered(StoreErrorKind),
}

impl SqlStoreError {
    pub(super) fn new(meaning: Meaning, message: impl Into<String>) -> Self {
        Self { meaning, message: message.into(), advice: None, source: None }
    }

    /// The error for an invalid setting or a schema that doesn't fit.
    pub(super) fn setup(message: impl Into<String>) -> Self {
        Self::new(Meaning::Refused(StoreErrorKind::Other), message)
    }

    /// The error for a row that doesn't fit its statement.
    pub(super) fn row(message: &str) -> Self {
        Self::new(
            Meaning::Unanswered(StoreErrorKind::Other),
            format!("the database answered something else: {message}"),
        )
    }

    pub(super) fn late(limit: Duration) -> Self {
        let message = format!("the database did not answer within {limit:?}");
        Self::new(Meaning::Unanswered(StoreErrorKind::Timeout), message)
    }

    pub(super) fn advise(mut self, advice: Option<&'static str>) -> Self {
        self.advice = advice;
        self
    }

    pub(super) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn advice(&self) -> Option<&'static str> {
        self.advice
    }

    /// Whether the table is missing or lacks a column.
    #[cfg(feature = "url")]
    pub(crate) fn is_missing(&self) -> bool {
        self.advice == Some(advice::SCHEMA)
    }

    pub(super) fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Marks the outcome as unknown: a refused commit may have taken effect all the same.
    pub(super) fn of_commit(mut self) -> Self {
        if let Meaning::NotSent(kind) | Meaning::Refused(kind) = self.meaning {
            self.meaning = Meaning::Unanswered(kind);
        }
        self
    }

    /// Marks the outcome as known: this step failed, and no other step of the operation has taken effect.
    pub(super) fn of_step(mut self) -> Self {
        self.meaning = Meaning::Refused(self.kind());
        self
    }

    /// The kind of the [`StoreError`] with which an operation fails because of this error. A write whose outcome is
    /// unknown fails with [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown) instead.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        match self.meaning {
            Meaning::NotSent(kind) | Meaning::Refused(kind) | Meaning::Unanswered(kind) => kind,
            Meaning::Beaten => StoreErrorKind::Unavailable,
            Meaning::Duplicate => StoreErrorKind::Other,
        }
    }

    /// The error of a read, which can't have changed anything.
    pub(super) fn of_read(self) -> StoreError {
        StoreError::new(self.kind()).because(self)
    }

    /// The error of a write.
    pub(super) fn of_write(self) -> StoreError {
        let kind = match self.meaning {
            Meaning::Unanswered(_) => StoreErrorKind::OutcomeUnknown,
            _ => self.kind(),
        };
        StoreError::new(kind).because(self)
    }

    /// Whether the request may have taken effect.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.meaning, Meaning::Unanswered(_))
    }
}

impl fmt::Display for SqlStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// The same text as `Display`, so that a `main` that returns the error is readable.
impl fmt::Debug for SqlStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for SqlStoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<SqlStoreError> for crate::error::Error {
    fn from(error: SqlStoreError) -> Self {
        Self::setup(error)
    }
}

/// The advice at the end of a message.
pub(super) mod advice {
    pub(in super::super) const SCHEMA: &str = "create the table with the builder's `migrate` or `create`, or by the SQL in \
                                         the documentation of `SqlStore`";
    pub(in super::super) const READ_ONLY: &str = "the database takes no writes: connect to the primary";
    pub(in super::super) const FULL: &str = "make room; what was stored is as it was";
    pub(in super::super) const RIGHTS: &str = "grant the rights that the documentation of `SqlStore` lists";
    pub(in super::super) const CONNECTIONS: &str = "raise the server's limit of connections, or lower the pool's";
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(in super::super) const PREPARED: &str = "if there is a pooler before PostgreSQL, set `prepared_statements(false)` on \
                                           the builder, and `extra_float_digits(None)` on the options of its connections";
    #[cfg(feature = "mysql")]
    pub(in super::super) const PACKET: &str = "lower the builder's `record_limit`, or raise the server's \
                                               `max_allowed_packet`";
}
