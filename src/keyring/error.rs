//! Errors of adding a key to a ring, or of removing one from it.

use super::key_id::KeyId;

/// A key can't be added to a ring or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The secret is already on the ring.
    #[error("the key {0} is already on the ring: name each secret once")]
    Twice(KeyId),
    /// The key is the one that writes, so it can't be removed.
    #[error("the key {0} is the writing key: create a ring with another writing key")]
    Writing(KeyId),
}

impl From<KeyRingError> for crate::error::Error {
    fn from(error: KeyRingError) -> Self {
        Self::setup(error)
    }
}
