//! What went wrong with the database, by its meaning.

use std::{error::Error as StdError, fmt, time::Duration};

use crate::store::{StoreError, StoreErrorKind};

/// What went wrong with the database of a [`SqlStore`](super::SqlStore), and what to do about it.
///
/// Opening a store answers with one; it is also the [`source`](StdError::source) of the [`StoreError`]s of an opened one.
/// `Display` has the database's own words and its code. The driver's error is the source.
pub struct SqlStoreError {
    meaning: Meaning,
    message: String,
    advice: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a failed request means for what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It was not sent.
    NotSent(StoreErrorKind),
    /// The database refused it, and nothing was changed.
    Refused(StoreErrorKind),
    /// The database undid it because of another transaction.
    Beaten,
    /// There is a row with this key already.
    Duplicate,
    /// It was sent and not answered, or the answer doesn't tell.
    Unanswered(StoreErrorKind),
}

impl SqlStoreError {
    pub(super) fn new(meaning: Meaning, message: impl Into<String>) -> Self {
        Self { meaning, message: message.into(), advice: None, source: None }
    }

    /// A setting is wrong, or the schema does not fit.
    pub(super) fn setup(message: impl Into<String>) -> Self {
        Self::new(Meaning::Refused(StoreErrorKind::Other), message)
    }

    /// A row is not what a statement asked for.
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

    /// Whether the table is missing, or lacks a column.
    #[cfg(feature = "url")]
    pub(crate) fn is_missing(&self) -> bool {
        self.advice == Some(advice::SCHEMA)
    }

    pub(super) fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// The same, if the request may have been carried out although the database seems to have refused it.
    pub(super) fn of_commit(mut self) -> Self {
        if let Meaning::NotSent(kind) | Meaning::Refused(kind) = self.meaning {
            self.meaning = Meaning::Unanswered(kind);
        }
        self
    }

    /// The same of a step after which nothing of the operation was done.
    pub(super) fn of_step(mut self) -> Self {
        self.meaning = Meaning::Refused(self.kind());
        self
    }

    /// What kind of failure a store operation reports for this, if it was no write.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        match self.meaning {
            Meaning::NotSent(kind) | Meaning::Refused(kind) | Meaning::Unanswered(kind) => kind,
            Meaning::Beaten => StoreErrorKind::Unavailable,
            Meaning::Duplicate => StoreErrorKind::Other,
        }
    }

    /// The error of a read: nothing can have been changed.
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

    /// Whether the request may have been carried out.
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

/// What to do about it.
pub(super) mod advice {
    pub(in super::super) const SCHEMA: &str = "create the table with the builder's `migrate` or `create`, or by the SQL in \
                                         the documentation of `SqlStore`";
    pub(in super::super) const READ_ONLY: &str = "the database takes no writes: connect to the primary";
    pub(in super::super) const FULL: &str = "make room; what was stored is as it was";
    pub(in super::super) const RIGHTS: &str = "grant the rights that the documentation of `SqlStore` lists";
    pub(in super::super) const CONNECTIONS: &str = "raise the server's limit of connections, or lower the pool's";
    #[cfg(feature = "postgres")]
    pub(in super::super) const PREPARED: &str = "if there is a pooler before PostgreSQL, set `prepared_statements(false)` on \
                                           the builder, and `extra_float_digits(None)` on the options of its connections";
    #[cfg(feature = "mysql")]
    pub(in super::super) const PACKET: &str = "lower the builder's `record_limit`, or raise the server's \
                                               `max_allowed_packet`";
}
