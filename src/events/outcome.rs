//! The outcome of a store call.

use crate::store::{StoreError, StoreErrorKind};

/// The outcome of a store's operation.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// The operation succeeded: it loaded, created, updated or counted.
    Done,
    /// There is no such session, epoch or lease.
    Absent,
    /// The new id already exists.
    Exists,
    /// Another version is stored.
    Conflict,
    /// A `refresh` found another record.
    Changed,
    /// Another holder has the lease.
    Held,
    /// The call was dropped before it was over. Its effect is unknown.
    Dropped,
    /// The store failed.
    Failed(&'a StoreError),
}

impl Outcome<'_> {
    /// Returns the outcome in lower case: `done`, `absent`, `conflict`, …, `failed`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Absent => "absent",
            Self::Exists => "exists",
            Self::Conflict => "conflict",
            Self::Changed => "changed",
            Self::Held => "held",
            Self::Dropped => "dropped",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns the kind of failure, if the operation failed.
    #[must_use]
    pub fn failure(&self) -> Option<StoreErrorKind> {
        match self {
            Self::Failed(error) => Some(error.kind()),
            _ => None,
        }
    }
}
