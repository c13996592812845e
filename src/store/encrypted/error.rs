//! Errors when opening sealed records.

use crate::keyring::KeyId;

/// A stored record can't be opened. This is the source of a [`StoreError`](crate::store::StoreError) of kind `Corrupt`.
/// The stored bytes stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The record is not sealed. It may have been put there by somebody who can write to the store.
    #[error("the record is not sealed: if the store was in use before it was wrapped, call seal_existing once")]
    NotSealed,
    /// The seal has an unknown format: the record is damaged, or was written by a later version.
    #[error("the seal has an unknown format: the record is damaged, or was written by a later version")]
    Form,
    /// The key that sealed the record is not on the ring.
    #[error("the record is sealed with the key {0}, which is not on the ring: add it as an opening key")]
    UnknownKey(KeyId),
    /// The record was changed, or moved here from another session.
    #[error("the seal is broken: the record was changed, or moved here from another id")]
    Broken,
}

impl From<SealError> for crate::error::Error {
    fn from(error: SealError) -> Self {
        Self::request(crate::error::ErrorKind::Damaged).because(error)
    }
}
