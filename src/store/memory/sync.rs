//! The table's locks and counters, in one place so that loom can replace them.
//!
//! With `--cfg session_layer_loom`, the same code of the shards runs under loom, which tries every schedule; see
//! `loom_tests.rs` in this folder. (Not `--cfg loom`, since tokio reacts to that.)

#[cfg(session_layer_loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(session_layer_loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
use std::{ops::Deref, sync::PoisonError};

/// Locks a mutex, ignoring poisoning. Only this crate's code runs under these locks, so a panic elsewhere leaves
/// nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Places a value that threads write to on its own cache lines: two of them, since processors fetch lines in pairs.
/// Otherwise each write would evict neighbours, which other threads only read, from their caches.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
