//! The error for bytes that are not a record.

/// The bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a record: {reason}")]
pub struct RecordError {
    reason: &'static str,
}

impl From<RecordError> for crate::error::Error {
    fn from(error: RecordError) -> Self {
        Self::request(crate::error::ErrorKind::Damaged).because(error)
    }
}

impl RecordError {
    pub(super) const fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}
