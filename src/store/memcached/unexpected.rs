//! The number of tries, and the error for an unexpected reply.

use super::client::Status;
use crate::store::{StoreError, StoreErrorKind};

/// How often a conditional write is tried: a create, while the item in its way keeps vanishing, and any other write,
/// while others keep coming first.
pub(super) const TRIES: usize = 64;

/// The error for a server error, or for a reply that no server gives to this request.
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
