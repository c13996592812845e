//! What a server's reply means for the store.

use super::client::{Cas, Reply, Status};
use crate::store::{StoreError, StoreErrorKind};

/// How often a create is tried where what is in its way keeps vanishing, and a write that loses to others.
pub(super) const TRIES: usize = 64;

/// The CAS value of a stored item.
pub(super) fn cas_of(reply: &Reply) -> Result<Cas, StoreError> {
    reply.cas().ok_or_else(|| {
        StoreError::new(StoreErrorKind::Unavailable)
            .because("memcached gives no compare-and-swap values: start it without -C")
    })
}

/// Whether a conditional write took place. Returns `false` if another came first, or the server was restarted.
pub(super) fn stored(status: &Status) -> Result<bool, StoreError> {
    match status {
        Status::Done => Ok(true),
        Status::NotStored | Status::Exists | Status::NotFound | Status::Restarted => Ok(false),
        status => Err(unexpected(status)),
    }
}

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
