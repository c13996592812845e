//! The locks and counters of the table, in one place, so that loom can stand in for them.
//!
//! With `--cfg session_layer_loom` the very code of the shards runs under loom, which tries every schedule; see
//! `loom_tests.rs` beside this file. (Not `--cfg loom`: tokio reacts to that one.)

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

/// Locks. Nobody's code but ours runs under these locks, so a panic elsewhere leaves nothing half done behind them.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What threads write to, on cache lines of its own: two, since processors fetch them in pairs. Else each write would
/// take the neighbours, which others only read, out of their caches.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
