//! Finds out what became of a write that was not answered, or that the server could not store.

use super::{
    client::{Cas, ClientError, Reason, Status},
    envelope::Head,
    events::TARGET,
    item::Found,
    place::Place,
    store::MemcachedStore,
    unexpected::unexpected,
};
use crate::store::{StoreError, StoreErrorKind, Update};

/// The result of reading back a write that was not answered.
pub(super) enum Settled {
    /// It took place, with this CAS value.
    Ours(Cas),
    /// There is no live record: the write did not take place, or the record was removed after it.
    Absent,
    /// It is not known whether the write took place.
    Unknown,
}

impl MemcachedStore {
    /// Reads the record back after a write that was not answered. The write is never sent again, since it may still
    /// arrive.
    pub(super) async fn settle(&self, place: &Place<'_>, head: &Head, error: &ClientError) -> Settled {
        if !error.sent || matches!(error.reason, Reason::Closed) {
            return Settled::Unknown;
        }
        match self.find(&place.renewed()).await {
            Ok(Found::Live(held)) if held.head.nonce == head.nonce => Settled::Ours(held.cas),
            Ok(Found::Absent | Found::Dead { .. }) => Settled::Absent,
            // If this is the old record, the write has not taken place, or not yet. If it is another write's record,
            // that may have replaced ours.
            Ok(Found::Live(_)) | Err(_) => Settled::Unknown,
        }
    }

    /// Finds out what is stored after the server answered an update with an error.
    pub(super) async fn dropped(&self, place: &Place<'_>, status: &Status) -> Result<Update, StoreError> {
        let error = unexpected(status);
        tracing::error!(target: TARGET, cause = ?status, "memcached could not store an update");
        match self.find(&place.renewed()).await {
            Ok(Found::Live(_)) => Err(error),
            Ok(Found::Absent | Found::Dead { .. }) => Ok(Update::Gone),
            Err(_) => Err(StoreError::new(StoreErrorKind::OutcomeUnknown).because(error)),
        }
    }
}
