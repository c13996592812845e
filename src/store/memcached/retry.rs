//! Whether a request is tried again, and the error if its reply is not one to go on from.

use super::client::Status;
use crate::store::{StoreError, StoreErrorKind};

/// How often a create is tried where what is in its way keeps vanishing, and a write that loses to others.
pub(super) const TRIES: usize = 64;

/// A reply that no server gives to this request, or an error of its own.
pub(super) fn unexpected(status: &Status) -> StoreError {
    match status {
        Status::ServerError(line) if line.contains("too large") => {
            StoreError::new(StoreErrorKind::TooLarge).because(format!("memcached answered \"{line}\""))
        }
        Status::ServerError(line) => {
            StoreError::new(StoreErrorKind::Unavailable).because(format!("memcached answered \"{line}\""))
        }
        status => StoreError::new(StoreErrorKind::Other).because(format!("memcached answered {status:?}")),
    }
}
