//! One server with its connections.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    claim::{Claim, Withdrawal},
    command::Command,
    connection::{self, CLOSE_GRACE},
    error::{ClientError, Reason},
    in_flight::{Request, Waiter},
    lane::{Driver, Lane},
    link::Link,
    reply::Reply,
    shared::{ServerSettings, Shared},
};
use crate::store::address::Address;

/// Counts of a store's requests and connections to one server, since the store was built. Returned by
/// [`MemcachedStore::statistics`](crate::MemcachedStore::statistics).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatistics {
    /// The server, as in the store's settings.
    pub server: String,
    /// Requests handed to the client.
    pub requests: u64,
    /// Requests that were not answered, or not sent.
    pub errors: u64,
    /// Connections made to replace a lost one.
    pub reconnects: u64,
    /// Requests that are now queued or waiting for their reply.
    pub in_flight: u64,
    /// Connections that are now open.
    pub connected: u64,
}

/// One server, with a few lanes of requests. Each lane has a connection for each runtime that uses it.
pub(in super::super) struct Server {
    shared: Arc<Shared>,
    lanes: Box<[Lane]>,
    closed: AtomicBool,
}

/// A queued request. Dropping this withdraws the request if it was not written yet.
pub(in super::super) struct Pending<'a> {
    receiver: oneshot::Receiver<Result<Reply, ClientError>>,
    claim: Claim,
    deadline: Instant,
    link: Arc<Link>,
    /// How often the connection's task had been polled when this was queued.
    polls: u64,
    lane: &'a Lane,
}

/// A connection that is ending.
pub(in super::super) struct Closing {
    pub(in super::super) task: JoinHandle<()>,
    link: Arc<Link>,
}

impl Server {
    pub(in super::super) fn new(address: Address, settings: Arc<ServerSettings>) -> Self {
        let lanes = (0..settings.connections).map(|_| Lane::default()).collect();
        Self { shared: Arc::new(Shared::new(address, settings)), lanes, closed: AtomicBool::new(false) }
    }

    /// The deadline of a request that begins now.
    pub(in super::super) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.settings.request_timeout
    }

    /// Sends a request and waits for its reply. Requests of one runtime with the same `lane` share a connection and
    /// keep their order.
    pub(in super::super) async fn call(
        &self,
        lane: usize,
        command: Command,
        deadline: Instant,
    ) -> Result<Reply, ClientError> {
        self.submit(lane, command, deadline).await?.answer().await
    }

    /// Queues a request, so that several can be under way at once.
    pub(in super::super) async fn submit(
        &self,
        lane: usize,
        command: Command,
        deadline: Instant,
    ) -> Result<Pending<'_>, ClientError> {
        let lane = &self.lanes[lane % self.lanes.len()];
        let (pending, full) = self.try_queue(lane, command, deadline)?;
        let Some((queue, request)) = full else { return Ok(pending) };
        pending.queue(&queue, request).await
    }

    fn error(&self, reason: Reason) -> ClientError {
        self.shared.counters.errors.fetch_add(1, Ordering::Relaxed);
        ClientError::unsent(&self.shared.name, reason)
    }

    /// Queues a request on this runtime's connection. If the queue is full, returns the request and the queue. Starts
    /// the connection's task if there is none: at the runtime's first request, or after a task that does not run was
    /// given up.
    #[allow(clippy::type_complexity, reason = "its only caller takes it apart")]
    fn try_queue<'a>(
        &'a self,
        lane: &'a Lane,
        command: Command,
        deadline: Instant,
    ) -> Result<(Pending<'a>, Option<(mpsc::Sender<Request>, Request)>), ClientError> {
        self.shared.counters.requests.fetch_add(1, Ordering::Relaxed);
        let runtime = runtime::Handle::try_current()
            .map_err(|_| self.error(Reason::Down("called outside of a tokio runtime".into())))?;
        let mut drivers = lane.lock();
        let is_ours = |driver: &Driver| driver.runtime == runtime.id() && !driver.queue.is_closed();
        let at = if let Some(at) = drivers.iter().position(is_ours) {
            at
        } else {
            // Drops connections of runtimes that are gone.
            drivers.retain(|driver| !driver.queue.is_closed());
            drivers.push(self.start(&runtime)?);
            drivers.len() - 1
        };
        let driver = &drivers[at];
        let (pending, request) = Pending::new(driver, lane, command, deadline);
        match driver.queue.try_send(request) {
            Ok(()) => Ok((pending, None)),
            Err(mpsc::error::TrySendError::Full(request)) => Ok((pending, Some((driver.queue.clone(), request)))),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.error(Reason::Lost("its task has ended".into()))),
        }
    }

    /// Starts a connection's task. Call it under the lane's lock, so that `close` misses none.
    fn start(&self, runtime: &runtime::Handle) -> Result<Driver, ClientError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(self.error(Reason::Closed));
        }
        let (queue, receiver) = mpsc::channel(self.shared.settings.queue);
        let link = Link::new(&self.shared);
        let task = runtime.spawn(connection::run(Arc::clone(&link), receiver));
        Ok(Driver { runtime: runtime.id(), queue, link, task })
    }

    /// Waits until every request that was queued before is answered, including those on other runtimes' connections.
    ///
    /// `probe` creates a request. Its reply comes after those of all earlier requests on the same connection.
    pub(in super::super) async fn flush(&self, probe: impl Fn() -> Command) -> Result<(), ClientError> {
        let deadline = self.deadline();
        let mut pending = Vec::new();
        for lane in &self.lanes {
            let probes: Vec<_> = lane
                .lock()
                .iter()
                .filter(|driver| !driver.queue.is_closed() && !driver.link.is_idle())
                .map(|driver| (driver.queue.clone(), Pending::new(driver, lane, probe(), deadline)))
                .collect();
            for (queue, (probing, request)) in probes {
                self.shared.counters.requests.fetch_add(1, Ordering::Relaxed);
                pending.push(probing.queue(&queue, request).await?);
            }
        }
        for pending in pending {
            pending.answer().await?;
        }
        Ok(())
    }

    /// Refuses further requests. Queued requests are still served. After that the tasks disconnect and end.
    pub(in super::super) fn close(&self) -> Vec<Closing> {
        self.closed.store(true, Ordering::SeqCst);
        // Without senders, a task serves what is queued and ends.
        let drivers = self.lanes.iter().flat_map(Lane::take);
        drivers.map(|Driver { task, link, .. }| Closing { task, link }).collect()
    }

    pub(in super::super) fn statistics(&self) -> ServerStatistics {
        let counters = &self.shared.counters;
        ServerStatistics {
            server: self.shared.name.to_string(),
            requests: counters.requests.load(Ordering::Relaxed),
            errors: counters.errors.load(Ordering::Relaxed),
            reconnects: counters.reconnects.load(Ordering::Relaxed),
            in_flight: counters.in_flight.load(Ordering::Relaxed),
            connected: counters.connected.load(Ordering::Relaxed),
        }
    }
}

impl Closing {
    /// Whether every request on this connection is answered.
    pub(in super::super) fn is_idle(&self) -> bool {
        self.link.is_idle()
    }

    /// How long the connection may take to end. If its runtime doesn't run, it never ends. That matters only while
    /// requests are under way, so the limit is short if there are none.
    pub(in super::super) fn limit(&self) -> Duration {
        if self.is_idle() {
            return CLOSE_GRACE;
        }
        let settings = &self.link.shared.settings;
        settings.connect_timeout + settings.request_timeout + CLOSE_GRACE
    }
}

impl<'a> Pending<'a> {
    fn new(driver: &Driver, lane: &'a Lane, command: Command, deadline: Instant) -> (Self, Request) {
        let (waiter, receiver, claim) = Waiter::new(&driver.link, deadline);
        let (link, polls) = (Arc::clone(&driver.link), driver.link.polls());
        (Self { receiver, claim, deadline, link, polls, lane }, Request { command, waiter })
    }

    /// Waits for a place in a full queue.
    async fn queue(self, queue: &mpsc::Sender<Request>, request: Request) -> Result<Self, ClientError> {
        match timeout_at(self.deadline, queue.send(request)).await {
            Ok(Ok(())) => Ok(self),
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => Err(self.overdue()),
        }
    }

    /// Waits for the reply, no longer than the request's time limit, whether or not the connection's task runs.
    pub(in super::super) async fn answer(mut self) -> Result<Reply, ClientError> {
        match timeout_at(self.deadline, &mut self.receiver).await {
            Ok(Ok(answer)) => answer,
            // The task was dropped with its runtime.
            Ok(Err(_)) => Err(self.lost()),
            // The reply may have come at the last moment.
            Err(_) => self.receiver.try_recv().unwrap_or_else(|_| Err(self.overdue())),
        }
    }

    fn lost(&self) -> ClientError {
        self.given_up(Reason::Lost("its runtime has ended".into()))
    }

    fn overdue(&self) -> ClientError {
        let error = self.given_up(Reason::Overdue(self.link.shared.settings.request_timeout));
        // Queuing wakes the task. If it has not been polled since, its runtime can't run it.
        if !error.sent && self.polls == self.link.polls() {
            self.lane.replace(&self.link);
        }
        error
    }

    /// Withdraws the request. The error says whether it was written before.
    fn given_up(&self, reason: Reason) -> ClientError {
        let shared = &self.link.shared;
        shared.counters.errors.fetch_add(1, Ordering::Relaxed);
        if self.withdraw() {
            ClientError::unsent(&shared.name, reason)
        } else {
            ClientError::sent(&shared.name, reason)
        }
    }

    /// Returns `true` if the request was not written and never will be.
    fn withdraw(&self) -> bool {
        let withdrawal = self.claim.withdraw();
        if withdrawal == Withdrawal::Withdrawn {
            self.link.ended();
        }
        withdrawal != Withdrawal::Written
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.shared.name).finish()
    }
}
