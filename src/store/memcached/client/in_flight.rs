//! Requests under way.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    claim::Claim,
    command::Command,
    error::{ClientError, Reason},
    link::Link,
    reply::Reply,
};

/// A request, with the connection's half of it.
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) waiter: Waiter,
}

/// The connection's half of a request. It answers once.
pub(super) struct Waiter {
    pub(super) deadline: Instant,
    sender: Option<oneshot::Sender<Result<Reply, ClientError>>>,
    claim: Claim,
    link: Arc<Link>,
}

impl Waiter {
    /// Returns a waiter, the caller's half of it, and the claim that they share.
    pub(super) fn new(
        link: &Arc<Link>,
        deadline: Instant,
    ) -> (Self, oneshot::Receiver<Result<Reply, ClientError>>, Claim) {
        let ((sender, receiver), claim) = (oneshot::channel(), Claim::default());
        link.began();
        let waiter = Self { deadline, sender: Some(sender), claim: claim.clone(), link: Arc::clone(link) };
        (waiter, receiver, claim)
    }

    /// Claims the request for writing. Returns `false` if its caller has given up: it must not be written then.
    pub(super) fn write(&self) -> bool {
        self.claim.write()
    }

    pub(super) fn answer(mut self, reply: Reply) {
        self.send(Ok(reply));
    }

    pub(super) fn fail_unsent(mut self, reason: Reason) {
        let error = ClientError::unsent(&self.link.shared.name, reason);
        self.send(Err(error));
    }

    pub(super) fn fail_sent(mut self, reason: Reason) {
        let error = ClientError::sent(&self.link.shared.name, reason);
        self.send(Err(error));
    }

    fn send(&mut self, result: Result<Reply, ClientError>) {
        let failed = result.is_err();
        // Not counted as an error if the caller has gone, or has given up and counted it itself.
        if self.sender.take().is_some_and(|sender| sender.send(result).is_ok()) && failed {
            self.link.shared.counters.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.claim.end() {
            self.link.ended();
        }
    }
}

/// The requests that were written on one connection and not answered yet, in order.
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

    /// Takes the oldest request, to which the next reply must belong.
    pub(super) fn take(&self) -> Option<(u64, Waiter)> {
        self.lock().pop_front()
    }

    /// Fails all requests. They may have reached the server.
    pub(super) fn fail(&self, reason: &Reason) {
        for (_, waiter) in std::mem::take(&mut *self.lock()) {
            waiter.fail_sent(reason.clone());
        }
    }
}
