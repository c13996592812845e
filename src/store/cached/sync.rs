//! The lock of the cache: the standard library's, or shuttle's under `--cfg session_layer_shuttle`, which searches
//! schedules.

#[cfg(all(test, session_layer_shuttle))]
pub(super) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, session_layer_shuttle)))]
pub(super) use std::sync::{Mutex, MutexGuard};

/// Locks a mutex, ignoring poisoning. A panic under the lock can't leave a half-made entry, since each change is one
/// call.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
