//! A failed operation, as it is logged.

use super::events::TARGET;
use crate::{
    id::SessionId,
    store::{StoreError, log_failed},
};

/// Adds the operation and the id to an error, and logs it.
pub(super) fn failed(operation: &'static str, id: &SessionId, error: StoreError) -> StoreError {
    let error = error.during(operation).on(id);
    log_failed!(TARGET, operation, &error);
    error
}
