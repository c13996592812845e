//! The task that owns one connection.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    super::events::TARGET,
    error::Reason,
    handshake::{ServerInfo, shake},
    in_flight::{InFlight, Request},
    link::Link,
    reader::{End, Reader},
    shared::Shared,
    stream::Stream,
    writer::Writer,
};
use crate::store::backoff::Backoff;

/// Pauses between attempts to connect. With a connect limit of one second, a server that comes back is used again
/// within two.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Owns one connection to one server for as long as `queue` has senders: connects, serves, and connects again.
///
/// Answers every request that it takes from the queue: at the latest at the request's deadline, or at once while the
/// server is down. If the runtime does not run this task, callers notice that by `link` and start another.
pub(super) async fn run(link: Arc<Link>, queue: mpsc::Receiver<Request>) {
    let mut serving = pin!(serve(Arc::clone(&link.shared), queue));
    poll_fn(|context| {
        link.polled();
        serving.as_mut().poll(context)
    })
    .await;
}

async fn serve(shared: Arc<Shared>, queue: mpsc::Receiver<Request>) {
    let mut connection = Connection {
        shared,
        queue,
        waiting: VecDeque::new(),
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        down: None,
        connected: false,
    };
    while connection.turn().await.is_some() {}
}

struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Request>,
    /// Requests that were taken from the queue and are not sent yet.
    waiting: VecDeque<Request>,
    backoff: Backoff,
    /// Why there is no connection, once that is known. Requests then fail at once.
    down: Option<Arc<str>>,
    connected: bool,
}

impl Connection {
    /// Connects and serves once. Returns `None` if no more requests can come.
    async fn turn(&mut self) -> Option<()> {
        match self.dial().await? {
            Ok((stream, info)) => {
                tracing::info!(
                    target: TARGET,
                    server = %self.shared.name, version = info.version, "connected"
                );
                if std::mem::replace(&mut self.connected, true) {
                    self.shared.counters.reconnects.fetch_add(1, Ordering::Relaxed);
                }
                self.shared.set_item_size_max(info.item_size_max);
                let answered = AtomicBool::new(false);
                let End::Lost(reason) = self.serve(stream, info.incarnation, &answered).await else { return None };
                tracing::warn!(
                    target: TARGET,
                    server = %self.shared.name, %reason, "connection lost"
                );
                if answered.into_inner() {
                    // The connection worked until now, so the next attempt is made at once, and requests wait for it.
                    self.backoff.reset();
                    self.down = None;
                    return Some(());
                }
                self.fail_waiting(reason.to_string().into());
            }
            Err(cause) => self.fail_waiting(cause),
        }
        self.pause().await
    }

    /// Connects. Meanwhile requests wait, or fail at once if the last attempt has failed.
    async fn dial(&mut self) -> Option<Result<(Stream, ServerInfo), Arc<str>>> {
        let shared = Arc::clone(&self.shared);
        let mut dialling = pin!(dial(&shared));
        let mut open = true;
        loop {
            if !open && self.waiting.is_empty() {
                return None;
            }
            let next_deadline = self.waiting.front().map(|request| request.waiter.deadline);
            let overdue = async {
                match next_deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                result = &mut dialling => return Some(result),
                () = overdue => self.drop_overdue(),
                request = self.queue.recv(), if open && self.waiting.len() < self.shared.settings.queue => {
                    match (request, &self.down) {
                        (Some(request), None) => self.waiting.push_back(request),
                        (Some(request), Some(cause)) => request.waiter.fail_unsent(Reason::Down(Arc::clone(cause))),
                        // Waiting requests are still served.
                        (None, _) => open = false,
                    }
                }
            }
        }
    }

    fn drop_overdue(&mut self) {
        let now = Instant::now();
        while let Some(request) = self.waiting.pop_front_if(|request| request.waiter.deadline <= now) {
            request.waiter.fail_unsent(Reason::Overdue(self.shared.settings.request_timeout));
        }
    }

    fn fail_waiting(&mut self, cause: Arc<str>) {
        if self.down.is_none() {
            tracing::warn!(
                target: TARGET,
                server = %self.shared.name, cause = &*cause, "server down: its sessions are unavailable"
            );
        }
        for request in self.waiting.drain(..) {
            request.waiter.fail_unsent(Reason::Down(Arc::clone(&cause)));
        }
        self.down = Some(cause);
    }

    /// Waits before the next attempt. Meanwhile requests fail at once.
    async fn pause(&mut self) -> Option<()> {
        let mut pause = pin!(sleep(self.backoff.next()));
        loop {
            tokio::select! {
                () = &mut pause => return Some(()),
                request = self.queue.recv() => {
                    let cause = self.down.clone().unwrap_or_else(|| "no attempt was made yet".into());
                    request?.waiter.fail_unsent(Reason::Down(cause));
                }
            }
        }
    }

    async fn serve(&mut self, stream: Stream, incarnation: u64, answered: &AtomicBool) -> End {
        self.down = None;
        let shared = Arc::clone(&self.shared);
        let _standing = Standing::new(&shared);
        match stream {
            Stream::Tcp(stream) => {
                let (read, write) = stream.into_split();
                self.exchange(read, write, incarnation, answered).await
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                let (read, write) = stream.into_split();
                self.exchange(read, write, incarnation, answered).await
            }
            #[cfg(feature = "memcached-tls")]
            Stream::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                self.exchange(read, write, incarnation, answered).await
            }
        }
    }

    async fn exchange(
        &mut self,
        read: impl AsyncRead + Unpin,
        write: impl AsyncWrite + Unpin,
        incarnation: u64,
        answered: &AtomicBool,
    ) -> End {
        let in_flight = InFlight::default();
        let closing = AtomicBool::new(false);
        let (shared, in_flight, closing) = (&*self.shared, &in_flight, &closing);
        let mut reader = Reader { shared, in_flight, closing, answered, incarnation };
        let (queue, waiting) = (&mut self.queue, &mut self.waiting);
        let mut writer = Writer { shared, queue, waiting, in_flight, incarnation };
        let end = {
            let mut reading = pin!(reader.run(read));
            tokio::select! {
                end = &mut reading => end,
                written = writer.run(write) => match written {
                    Err(error) => End::Lost(Reason::Lost(error.to_string().into())),
                    Ok(()) => {
                        closing.store(true, Ordering::Relaxed);
                        if in_flight.is_empty() { End::Closed } else { reading.await }
                    }
                }
            }
        };
        if let End::Lost(reason) = &end {
            in_flight.fail(reason);
        }
        end
    }
}

/// Counts a connection while it is open, even if its task is dropped with its runtime.
struct Standing<'a>(&'a Shared);

impl<'a> Standing<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.counters.connected.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.counters.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn dial(shared: &Shared) -> Result<(Stream, ServerInfo), Arc<str>> {
    let deadline = Instant::now() + shared.settings.connect_timeout;
    let attempt = async {
        let mut stream = shared.settings.transport.connect(&shared.address, deadline).await?;
        let info = shake(stream.as_wire(), shared.settings.credentials.as_ref()).await?;
        Ok::<_, std::io::Error>((stream, info))
    };
    match timeout_at(deadline, attempt).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => {
            Err(format!("no connection within {:?} (setting `connect_timeout`)", shared.settings.connect_timeout)
                .into())
        }
    }
}

#[allow(dead_code, reason = "a bound that is checked when this is compiled: the task must be able to move")]
fn is_send(link: Arc<Link>, queue: mpsc::Receiver<Request>) -> impl Send {
    run(link, queue)
}

/// How long closing waits for a connection's task: after the deadline of the last request, or in total if there is
/// none.
pub(super) const CLOSE_GRACE: Duration = Duration::from_millis(250);
