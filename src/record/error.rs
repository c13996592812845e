//! What is no record.

/// The bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a record: {reason}")]
pub struct RecordError {
    reason: &'static str,
}

impl RecordError {
    pub(super) const fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}
