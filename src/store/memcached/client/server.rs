//! One server with its connections.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    super::address::Address,
    command::Command,
    connection::{self, CLOSE_GRACE},
    error::{ClientError, Reason},
    handshake::Credentials,
    in_flight::{Request, Waiter},
    reply::Reply,
    stream::Transport,
};

/// The largest item of a server that was started without `-I`.
const DEFAULT_ITEM_SIZE: usize = 1_024 * 1_024;

/// What all connections of a store are made with.
#[derive(Debug, Clone)]
pub(in super::super) struct ServerSettings {
    pub(in super::super) connections: usize,
    pub(in super::super) connect_timeout: Duration,
    pub(in super::super) request_timeout: Duration,
    /// How many requests may wait for one connection.
    pub(in super::super) queue: usize,
    pub(in super::super) item_size_limit: Option<usize>,
    pub(in super::super) credentials: Option<Credentials>,
    pub(in super::super) transport: Transport,
}

/// What a server's connections have in common.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) address: Address,
    pub(super) settings: Arc<ServerSettings>,
    pub(super) counters: Counters,
    /// What the server said last; 0 if it did not.
    item_size_max: AtomicUsize,
}

/// Counted since the store was made.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) reconnects: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) connected: AtomicU64,
}

impl Shared {
    /// How many requests are queued or wait for their reply.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.counters.in_flight.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    pub(super) fn set_item_size_max(&self, bytes: Option<usize>) {
        self.item_size_max.store(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// The largest item that is sent, in bytes with all its overhead.
    pub(super) fn item_limit(&self) -> usize {
        let theirs = match self.item_size_max.load(Ordering::Relaxed) {
            0 => DEFAULT_ITEM_SIZE,
            bytes => bytes,
        };
        self.settings.item_size_limit.map_or(theirs, |ours| ours.min(theirs))
    }
}

/// What a store has done with one server since it was made.
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
    /// Requests that are queued or wait for their reply now.
    pub in_flight: u64,
    /// Connections that stand now.
    pub connected: u64,
}

/// One server: a few connections, each owned by a task that starts with the first request.
pub(in super::super) struct Server {
    shared: Arc<Shared>,
    lanes: Box<[Lane]>,
    closed: AtomicBool,
}

/// One connection's queue, and the task that serves it.
#[derive(Default)]
struct Lane {
    task: Mutex<Option<(mpsc::Sender<Request>, JoinHandle<()>)>>,
}

/// A request that was queued.
pub(in super::super) struct Pending<'a> {
    receiver: oneshot::Receiver<Result<Reply, ClientError>>,
    server: &'a Server,
}

impl Server {
    pub(in super::super) fn new(address: Address, settings: Arc<ServerSettings>) -> Self {
        let lanes = (0..settings.connections).map(|_| Lane::default()).collect();
        let name = address.to_string().into();
        let (counters, item_size_max) = (Counters::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { name, address, settings, counters, item_size_max });
        Self { shared, lanes, closed: AtomicBool::new(false) }
    }

    /// The time limit of a request that begins now.
    pub(in super::super) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.settings.request_timeout
    }

    /// Sends a request and waits for its reply. Requests with the same `lane` share a connection and keep their order.
    pub(in super::super) async fn call(
        &self,
        lane: usize,
        command: Command,
        deadline: Instant,
    ) -> Result<Reply, ClientError> {
        self.submit(lane, command, deadline).await?.await
    }

    /// Queues a request, so that several can be under way at once.
    pub(in super::super) async fn submit(
        &self,
        lane: usize,
        command: Command,
        deadline: Instant,
    ) -> Result<Pending<'_>, ClientError> {
        self.shared.counters.requests.fetch_add(1, Ordering::Relaxed);
        let (waiter, receiver) = Waiter::new(&self.shared, deadline);
        let pending = Pending { receiver, server: self };
        let Some((queue, request)) = self.try_queue(lane, Request { command, waiter })? else { return Ok(pending) };
        match timeout_at(deadline, queue.send(request)).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(_)) => Err(self.error(Reason::Lost("its task has ended".into()))),
            Err(_) => Err(self.error(Reason::Overdue(self.shared.settings.request_timeout))),
        }
    }

    fn error(&self, reason: Reason) -> ClientError {
        self.shared.counters.errors.fetch_add(1, Ordering::Relaxed);
        ClientError::unsent(&self.shared.name, reason)
    }

    /// Queues a request, or gives it back with the queue that is full. The connection's task is started if there is none:
    /// at the first request, or if the runtime that it ran on is gone.
    fn try_queue(
        &self,
        lane: usize,
        request: Request,
    ) -> Result<Option<(mpsc::Sender<Request>, Request)>, ClientError> {
        let mut task = self.lanes[lane % self.lanes.len()].lock();
        let queue = match &*task {
            Some((queue, _)) if !queue.is_closed() => queue,
            _ => &task.insert(self.start()?).0,
        };
        match queue.try_send(request) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(request)) => Ok(Some((queue.clone(), request))),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.error(Reason::Lost("its task has ended".into()))),
        }
    }

    /// Starts a connection's task. Called under its lock, so that `close` misses none.
    fn start(&self) -> Result<(mpsc::Sender<Request>, JoinHandle<()>), ClientError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(self.error(Reason::Closed));
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| self.error(Reason::Down("there is no tokio runtime here".into())))?;
        let (queue, receiver) = mpsc::channel(self.shared.settings.queue);
        Ok((queue, runtime.spawn(connection::run(Arc::clone(&self.shared), receiver))))
    }

    /// Waits until everything that was queued before is answered.
    ///
    /// `probe` makes a request: its reply comes after all others' of its connection.
    pub(in super::super) async fn flush(&self, probe: impl Fn() -> Command) -> Result<(), ClientError> {
        let deadline = self.deadline();
        let mut pending = Vec::new();
        for (index, lane) in self.lanes.iter().enumerate() {
            // A connection that was never used has nothing to wait for.
            let used = lane.lock().as_ref().is_some_and(|(queue, _)| !queue.is_closed());
            if used && self.shared.counters.in_flight.load(Ordering::Relaxed) > 0 {
                pending.push(self.submit(index, probe(), deadline).await?);
            }
        }
        for pending in pending {
            pending.await?;
        }
        Ok(())
    }

    /// Takes no more requests. What is queued is still served; the tasks end after it and disconnect.
    pub(in super::super) fn close(&self) -> Vec<JoinHandle<()>> {
        self.closed.store(true, Ordering::SeqCst);
        // Without senders a task serves what is queued and ends.
        self.lanes.iter().filter_map(|lane| lane.lock().take()).map(|(_, task)| task).collect()
    }

    /// How long the tasks of a closed server may take to end.
    pub(in super::super) fn close_limit(&self) -> Duration {
        self.shared.settings.connect_timeout + self.shared.settings.request_timeout + CLOSE_GRACE
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

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Option<(mpsc::Sender<Request>, JoinHandle<()>)>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Pending<'_> {
    type Output = Result<Reply, ClientError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.receiver).poll(context).map(|answer| {
            // The task went away with its runtime: it may have sent the request.
            answer.unwrap_or_else(|_| {
                Err(ClientError::sent(&self.server.shared.name, Reason::Lost("its runtime has ended".into())))
            })
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.shared.name).finish()
    }
}
