//! The lock of the cache: the standard library's, or in explored runs (`--cfg session_layer_shuttle`) one whose schedule is searched.

#[cfg(all(test, session_layer_shuttle))]
pub(super) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, session_layer_shuttle)))]
pub(super) use std::sync::{Mutex, MutexGuard};

/// A panic under one of our locks can't leave a half-made entry: each change there is one call.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
