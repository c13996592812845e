//! The connections of one lane: one for each runtime that uses it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{runtime, sync::mpsc, task::JoinHandle};

use super::{in_flight::Request, link::Link};

/// The task that owns one connection, and its queue.
pub(super) struct Driver {
    pub(super) runtime: runtime::Id,
    pub(super) queue: mpsc::Sender<Request>,
    pub(super) link: Arc<Link>,
    pub(super) task: JoinHandle<()>,
}

/// The connections of one lane. Requests of the same runtime share a connection.
#[derive(Default)]
pub(super) struct Lane {
    drivers: Mutex<Vec<Driver>>,
}

impl Lane {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Driver>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up a connection whose task does not run, so that the next request starts another. Callers withdraw the
    /// requests that are queued there.
    pub(super) fn replace(&self, link: &Arc<Link>) {
        self.lock().retain(|driver| !Arc::ptr_eq(&driver.link, link));
    }

    /// Removes all connections. Their tasks end when all queued requests are answered.
    pub(super) fn take(&self) -> Vec<Driver> {
        std::mem::take(&mut *self.lock())
    }
}
