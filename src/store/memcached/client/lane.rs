//! The connections of one lane: one for each runtime that uses it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::{runtime, sync::mpsc, task::JoinHandle};

use super::{in_flight::Request, server::Shared};

/// The state that a connection's callers and its task share.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    /// How often the task was polled. A caller sees by it whether the task runs.
    polls: AtomicU64,
    /// How many requests are queued or waiting for their reply.
    in_flight: AtomicUsize,
}

impl Link {
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared: Arc::clone(shared), polls: AtomicU64::new(0), in_flight: AtomicUsize::new(0) })
    }

    pub(super) fn polled(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a number that changes whenever the task is polled.
    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Counts a request that was queued.
    pub(super) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.shared.counters.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was answered, withdrawn or dropped.
    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.shared.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }
}

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

    /// Removes all connections. Their tasks end when everything that is queued is answered.
    pub(super) fn take(&self) -> Vec<Driver> {
        std::mem::take(&mut *self.lock())
    }
}
