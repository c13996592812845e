//! A failed operation, as it is logged.

use super::events::TARGET;
use crate::{
    id::SessionId,
    store::{StoreError, StoreErrorKind},
};

/// Adds the operation and the id to an error, and logs it.
pub(super) fn failed(operation: &'static str, id: &SessionId, error: StoreError) -> StoreError {
    let error = error.during(operation).on(id);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    match error.kind() {
        StoreErrorKind::Corrupt => tracing::error!(target: TARGET, %id, operation, %error, cause, "failed"),
        _ => tracing::warn!(target: TARGET, %id, operation, %error, cause, "failed"),
    }
    error
}
