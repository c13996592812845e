//! The log of a fault store's calls.

use crate::{conformance::Operation, id::SessionId, store::StoreErrorKind};

/// A call that a [`FaultStore`](super::FaultStore) received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The method.
    pub operation: Operation,
    /// The session that it concerned: the old id for a rename, `None` for an owner's epoch.
    pub id: Option<SessionId>,
    /// How it ended.
    pub outcome: CallOutcome,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The call is still under way.
    Pending,
    /// The call returned `Ok`.
    Answered,
    /// The call returned an error of this kind.
    Failed(StoreErrorKind),
    /// The call's future was dropped before it completed.
    Dropped,
}
