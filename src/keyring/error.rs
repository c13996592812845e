//! Errors of adding a key to a ring, or of removing one.

use super::key_id::KeyId;

/// A key can't be added to a ring, or not be removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The secret is on the ring already.
    #[error("the key {0} is on the ring already: each secret is named once")]
    Twice(KeyId),
    /// The key writes.
    #[error("the key {0} writes: make a ring on which another writes")]
    Writing(KeyId),
}

impl From<KeyRingError> for crate::error::Error {
    fn from(error: KeyRingError) -> Self {
        Self::setup(error)
    }
}
