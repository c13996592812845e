//! Requests on their way.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    command::Command,
    error::{ClientError, Reason},
    reply::Reply,
    server::Shared,
};

/// A request with the caller that waits for it.
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) waiter: Waiter,
}

/// The caller's end of a request: answered once, by whoever has it.
pub(super) struct Waiter {
    pub(super) deadline: Instant,
    sender: Option<oneshot::Sender<Result<Reply, ClientError>>>,
    shared: Arc<Shared>,
}

impl Waiter {
    pub(super) fn new(
        shared: &Arc<Shared>,
        deadline: Instant,
    ) -> (Self, oneshot::Receiver<Result<Reply, ClientError>>) {
        let (sender, receiver) = oneshot::channel();
        shared.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        (Self { deadline, sender: Some(sender), shared: Arc::clone(shared) }, receiver)
    }

    /// Whether nobody waits any more.
    pub(super) fn is_gone(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    pub(super) fn answer(mut self, reply: Reply) {
        self.send(Ok(reply));
    }

    pub(super) fn fail_unsent(mut self, reason: Reason) {
        let error = ClientError::unsent(&self.shared.name, reason);
        self.send(Err(error));
    }

    pub(super) fn fail_sent(mut self, reason: Reason) {
        let error = ClientError::sent(&self.shared.name, reason);
        self.send(Err(error));
    }

    fn send(&mut self, result: Result<Reply, ClientError>) {
        if result.is_err() {
            self.shared.counters.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(sender) = self.sender.take() {
            // A caller that has gone does not want it.
            let _ = sender.send(result);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was written on one connection and not answered yet, in order.
#[derive(Default)]
pub(super) struct InFlight {
    requests: Mutex<VecDeque<(u64, Waiter)>>,
}

impl InFlight {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Waiter)>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lock().front().map(|(_, waiter)| waiter.deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes the oldest request, whose reply this must be.
    pub(super) fn take(&self) -> Option<(u64, Waiter)> {
        self.lock().pop_front()
    }

    /// Fails all of them: they may have reached the server.
    pub(super) fn fail(&self, reason: &Reason) {
        for (_, waiter) in std::mem::take(&mut *self.lock()) {
            waiter.fail_sent(reason.clone());
        }
    }
}
