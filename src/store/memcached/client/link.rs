//! The state that a connection's callers and its task share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::shared::Shared;

/// The state that a connection's callers and its task share.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    /// How often the task was polled. It shows callers whether the task runs.
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
