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

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    super::{backoff::Backoff, events::TARGET},
    error::Reason,
    handshake::{ServerInfo, shake},
    in_flight::{InFlight, Request, Waiter},
    link::Link,
    reply::{Reply, ReplyError, parse},
    shared::Shared,
    stream::Stream,
};

/// How many requests are taken from the queue for one write.
const BATCH: usize = 256;

/// A write takes requests until they have this many bytes. Requests that are not in a write yet can still be withdrawn.
const BATCH_BYTES: usize = 64 * 1_024;

/// The initial size of a buffer, and the size to which a larger one shrinks after use.
const BUFFER_BYTES: usize = 32 * 1_024;

/// How much longer than the item limit a reply's value may be, in bytes: the limit counts overhead that some versions
/// lack.
const VALUE_SLACK: usize = 1_024;

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

/// How serving a connection ended.
enum End {
    /// No more requests can come, and all are answered.
    Closed,
    /// The connection can't be used any more.
    Lost(Reason),
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

/// Writes queued requests in batches.
struct Writer<'a> {
    shared: &'a Shared,
    queue: &'a mut mpsc::Receiver<Request>,
    waiting: &'a mut VecDeque<Request>,
    in_flight: &'a InFlight,
    incarnation: u64,
}

impl Writer<'_> {
    /// Runs until the queue is closed.
    async fn run(&mut self, mut write: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), Vec::with_capacity(BUFFER_BYTES));
        loop {
            if self.waiting.is_empty() {
                if self.queue.recv_many(&mut batch, BATCH).await == 0 {
                    return Ok(());
                }
                self.waiting.extend(batch.drain(..));
                if self.waiting.len() < self.shared.in_flight() {
                    // More requests are under way than were taken here, so other callers may be about to queue theirs.
                    // The runtime runs a task that was just woken before those that were ready earlier. If this task
                    // did not yield, every request would be written alone.
                    yield_now().await;
                    while self.waiting.len() < BATCH
                        && let Ok(request) = self.queue.try_recv()
                    {
                        self.waiting.push_back(request);
                    }
                }
            }
            // What doesn't fit stays for the next write, or for the next connection.
            self.encode(&mut bytes);
            if !bytes.is_empty() {
                write.write_all(&bytes).await?;
                write.flush().await?;
            }
            bytes.clear();
            bytes.shrink_to(BUFFER_BYTES);
        }
    }

    /// Moves requests into `bytes` and in flight, except those that have failed or were withdrawn. From here on they
    /// count as sent.
    fn encode(&mut self, bytes: &mut Vec<u8>) {
        let (now, limit) = (Instant::now(), self.shared.item_limit());
        let mut in_flight = self.in_flight.lock();
        while bytes.len() < BATCH_BYTES
            && let Some(Request { command, waiter }) = self.waiting.pop_front()
        {
            if waiter.deadline <= now {
                waiter.fail_unsent(Reason::Overdue(self.shared.settings.request_timeout));
            } else if command.item_size > limit {
                // Sending it would destroy the stored item.
                waiter.fail_unsent(Reason::TooLarge { bytes: command.item_size, limit });
            } else if command.incarnation.is_some_and(|given_by| given_by != self.incarnation) {
                waiter.answer(Reply::restarted());
            } else if waiter.write() {
                bytes.extend_from_slice(&command.bytes);
                in_flight.push_back((command.opaque, waiter));
            }
        }
    }
}

/// Reads replies and hands them out.
struct Reader<'a> {
    shared: &'a Shared,
    in_flight: &'a InFlight,
    closing: &'a AtomicBool,
    answered: &'a AtomicBool,
    incarnation: u64,
}

impl Reader<'_> {
    /// Runs until the connection ends, a request is overdue, or the queue is closed and everything is answered.
    async fn run(&mut self, mut read: impl AsyncRead + Unpin) -> End {
        let limit = self.shared.settings.request_timeout;
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        // One timer for all requests. It fires at the deadline of the oldest one, or after `limit` if there is none.
        let mut watch = pin!(sleep(limit));
        loop {
            tokio::select! {
                biased;
                result = read.read_buf(&mut buffer) => match result {
                    Ok(0) => return lost("the server closed it"),
                    Ok(_) => {}
                    Err(error) => return lost(&error.to_string()),
                },
                () = &mut watch => {
                    let now = Instant::now();
                    match self.in_flight.next_deadline() {
                        Some(deadline) if deadline <= now => return End::Lost(Reason::Overdue(limit)),
                        Some(deadline) => watch.as_mut().reset(deadline),
                        None => watch.as_mut().reset(now + limit),
                    }
                    continue;
                }
            }
            if let Err(error) = self.hand_out(&mut buffer) {
                tracing::error!(
                    target: TARGET,
                    server = %self.shared.name, %error, "protocol violated: connection closed"
                );
                return lost(&error.to_string());
            }
            if self.closing.load(Ordering::Relaxed) && self.in_flight.is_empty() {
                return End::Closed;
            }
            if buffer.capacity() < BUFFER_BYTES / 4 {
                buffer.reserve(BUFFER_BYTES);
            }
        }
    }

    fn hand_out(&self, buffer: &mut BytesMut) -> Result<(), ReplyError> {
        let max_value = self.shared.item_limit().saturating_add(VALUE_SLACK);
        while !buffer.is_empty() {
            let Some(mut reply) = parse(buffer, max_value)? else { break };
            reply.incarnation = self.incarnation;
            let (opaque, waiter) = self.in_flight.take().ok_or(ReplyError::Garbage("a reply without a request"))?;
            check(reply, opaque, waiter)?;
            self.answered.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Hands a reply to a request, if the reply has that request's opaque.
fn check(reply: Reply, opaque: u64, waiter: Waiter) -> Result<(), ReplyError> {
    // Error lines have no opaque.
    if reply.opaque == Some(opaque) || matches!(reply.status, super::reply::Status::ServerError(_)) {
        waiter.answer(reply);
        return Ok(());
    }
    waiter.fail_sent(Reason::Lost("a reply to another request".into()));
    Err(ReplyError::Garbage("a reply to another request"))
}

fn lost(cause: &str) -> End {
    End::Lost(Reason::Lost(cause.into()))
}

#[allow(dead_code, reason = "a bound that is checked when this is compiled: the task must be able to move")]
fn is_send(link: Arc<Link>, queue: mpsc::Receiver<Request>) -> impl Send {
    run(link, queue)
}

/// How long closing waits for a connection's task: after the deadline of the last request, or in total if there is
/// none.
pub(super) const CLOSE_GRACE: Duration = Duration::from_millis(250);
