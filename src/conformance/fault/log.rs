//! What a fault store was asked.

use crate::{conformance::Operation, id::SessionId, store::StoreErrorKind};

/// A call that a [`FaultStore`](super::FaultStore) was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The method.
    pub operation: Operation,
    /// The session that it was about; for a rename the old id, for an owner's epoch none.
    pub id: Option<SessionId>,
    /// What came of it.
    pub ended: Ended,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is still under way.
    Pending,
    /// It was answered without an error.
    Answered,
    /// It was answered with an error of this kind.
    Failed(StoreErrorKind),
    /// Its future was dropped before it ended.
    Dropped,
}
