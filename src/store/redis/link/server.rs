//! The connections to one server.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use redis::{AsyncConnectionConfig, Cmd, PushInfo, Value, aio::MultiplexedConnection};
use tokio::{
    runtime,
    time::{Instant, timeout_at},
};

use super::{
    super::events::TARGET,
    counters::Counters,
    error::{Cause, LinkError, RefusalKind},
    greeting::{Greeting, eviction_policy},
    settings::LinkSettings,
    target::Target,
};
use crate::store::backoff::Backoff;

/// The pauses between attempts to connect.
const FIRST_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a connection to a replica is kept before it is looked for the primary again: by name, or at the Sentinels.
const REPLICA_KEPT: std::time::Duration = std::time::Duration::from_secs(1);

/// One server, and the connections to it: some for each runtime that uses the store, so that no runtime depends on
/// another to drive its requests.
pub(super) struct Server {
    target: Target,
    name: Arc<str>,
    settings: LinkSettings,
    counters: Arc<Counters>,
    seats: Mutex<Vec<Arc<Seat>>>,
    turn: AtomicUsize,
    is_closed: AtomicBool,
    /// The server's eviction policy was warned of.
    is_warned: AtomicBool,
}

/// A place for one connection.
struct Seat {
    runtime: runtime::Id,
    lane: Lane,
    live: Mutex<Option<Live>>,
    /// Held by the one that connects.
    attempts: tokio::sync::Mutex<Attempts>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Any,
    /// Writes that wait for replicas. `WAIT` holds up all that is sent behind it on its connection.
    Waiting,
}

/// How a command is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delivery {
    /// With `ASKING` before it: to the node that a slot is just being moved to.
    pub(super) asking: bool,
    /// With `WAIT` behind it, for this many replicas. 0: without.
    pub(super) replicas: usize,
}

/// The attempts to connect that have failed since the last one that succeeded.
struct Attempts {
    backoff: Backoff,
    /// The last failure, and until when it stands for the next attempt as well.
    failed: Option<(Cause, Instant)>,
}

/// A connection that is being used.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    state: Arc<State>,
    since: Instant,
}

#[derive(Default)]
struct State {
    /// Nothing that is sent now arrives.
    is_lost: AtomicBool,
    answers: AtomicU64,
}

/// Dropped with the task that drives a connection, however that ends.
struct Driven(Arc<State>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.is_lost.store(true, Ordering::Release);
    }
}

type Connecting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Live, Cause>> + Send + 'a>>;

impl Server {
    /// Nothing is connected yet.
    pub(super) fn new(target: Target, settings: LinkSettings, counters: Arc<Counters>) -> Self {
        Self {
            name: target.to_string().into(),
            target,
            settings,
            counters,
            seats: Mutex::default(),
            turn: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            is_warned: AtomicBool::new(false),
        }
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a command, and waits for the reply until then.
    pub(super) async fn call(&self, command: &Cmd, how: Delivery, deadline: Instant) -> Result<Value, LinkError> {
        let result = self.try_call(command, how, deadline).await;
        match &result {
            Ok(_) => {}
            Err(LinkError::Refused(_)) => self.counters.refused.count(),
            Err(LinkError::NotSent(_)) => self.counters.not_sent.count(),
            Err(LinkError::Unanswered(_)) => self.counters.unanswered.count(),
            Err(LinkError::NotReplicated { .. }) => self.counters.not_replicated.count(),
        }
        result
    }

    async fn try_call(&self, command: &Cmd, how: Delivery, deadline: Instant) -> Result<Value, LinkError> {
        let overdue = || Cause::Overdue(self.settings.request_timeout);
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LinkError::NotSent(Cause::Closed));
        }
        let seat = self.seat(if how.replicas > 0 { Lane::Waiting } else { Lane::Any });
        let connected = timeout_at(deadline, self.live(&seat)).await.unwrap_or_else(|_| Err(overdue()));
        let mut live = connected.map_err(LinkError::NotSent)?;
        self.counters.requests.count();
        let before = live.state.answers.load(Ordering::Relaxed);
        let Ok(reply) = timeout_at(deadline, deliver(&mut live.connection, command, how, deadline)).await else {
            // A connection on which nothing at all comes back may be dead without a word.
            if live.state.answers.load(Ordering::Relaxed) == before {
                self.give_up(&seat, &live, "no answers come");
            }
            return Err(LinkError::Unanswered(overdue()));
        };
        match &reply {
            Ok(_) => {
                live.state.answers.fetch_add(1, Ordering::Relaxed);
            }
            Err(LinkError::Unanswered(cause)) => self.give_up(&seat, &live, cause),
            // The primary has become a replica. Where the primary is now is found out by connecting again.
            Err(LinkError::Refused(refusal))
                if refusal.kind == RefusalKind::ReadOnly && live.since.elapsed() >= REPLICA_KEPT =>
            {
                self.give_up(&seat, &live, "the server is a replica");
            }
            Err(_) => {}
        }
        reply
    }

    /// The next of this runtime's places.
    fn seat(&self, lane: Lane) -> Arc<Seat> {
        let runtime = runtime::Handle::current().id();
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let own = || seats.iter().filter(|seat| seat.runtime == runtime && seat.lane == lane);
        let count = own().count();
        if count >= self.settings.connections
            && let Some(seat) = own().nth(self.turn.fetch_add(1, Ordering::Relaxed) % count)
        {
            return Arc::clone(seat);
        }
        // Those of runtimes that have ended are left behind.
        seats.retain(|seat| seat.runtime == runtime || seat.current().is_some());
        let attempts = Attempts { backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), failed: None };
        let seat =
            Arc::new(Seat { runtime, lane, live: Mutex::default(), attempts: tokio::sync::Mutex::new(attempts) });
        seats.push(Arc::clone(&seat));
        seat
    }

    /// The connection of a place, made if there is none.
    async fn live(&self, seat: &Seat) -> Result<Live, Cause> {
        match seat.current() {
            Some(live) => Ok(live),
            // Boxed, so that not every request has room for a handshake in its future.
            None => {
                let connecting: Connecting<'_> = Box::pin(self.made_live(seat));
                connecting.await
            }
        }
    }

    async fn made_live(&self, seat: &Seat) -> Result<Live, Cause> {
        let mut attempts = seat.attempts.lock().await;
        if let Some(live) = seat.current() {
            return Ok(live);
        }
        if let Some((cause, until)) = &attempts.failed
            && Instant::now() < *until
        {
            return Err(cause.clone());
        }
        match self.connect().await {
            Ok(live) => {
                attempts.backoff.reset();
                attempts.failed = None;
                *seat.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                Ok(live)
            }
            Err(cause) => {
                self.counters.connections_failed.count();
                if attempts.failed.is_none() {
                    tracing::warn!(target: TARGET, server = %self.name, %cause, "server down: its sessions are unavailable");
                }
                attempts.failed = Some((cause.clone(), Instant::now() + attempts.backoff.next()));
                Err(cause)
            }
        }
    }

    async fn connect(&self) -> Result<Live, Cause> {
        let state = Arc::<State>::default();
        let driven = Driven(Arc::clone(&state));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(self.settings.queue)
            .set_push_sender(move |push: PushInfo| {
                if matches!(push.kind, redis::PushKind::Disconnection) {
                    driven.0.is_lost.store(true, Ordering::Release);
                }
                Ok::<(), ()>(())
            });
        let limit = self.settings.connect_timeout;
        let connecting = async {
            let client = self.target.client().await?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = connecting.await.map_err(|error| Cause::Down(error.to_string().into()))?;
            let greeting = Greeting::of(&mut connection).await?;
            self.target.check_role(&greeting.role)?;
            if let Some(policy) = eviction_policy(&mut connection).await {
                self.warn_of_eviction(&policy);
            }
            Ok((connection, greeting))
        };
        let connected = tokio::time::timeout(limit, connecting).await;
        let (connection, greeting) = connected.unwrap_or_else(|_| {
            Err(Cause::Down(format!("no connection within {limit:?} (setting `connect_timeout`)").into()))
        })?;
        self.counters.connections_made.count();
        tracing::info!(
            target: TARGET,
            server = %self.name,
            kind = greeting.name,
            version = greeting.version,
            role = greeting.role,
            "connected"
        );
        Ok(Live { connection, state, since: Instant::now() })
    }

    /// Warns once of a policy by which the server evicts what it must keep.
    fn warn_of_eviction(&self, policy: &str) {
        if !self.is_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: TARGET,
                server = %self.name,
                policy,
                "the server evicts sessions when it is full, which logs visitors out: set `maxmemory-policy noeviction`"
            );
        }
    }

    /// Replaces a connection at the next request. What was sent on it is answered if answers come.
    fn give_up(&self, seat: &Seat, live: &Live, reason: impl fmt::Display) {
        let mut held = seat.live.lock().unwrap_or_else(PoisonError::into_inner);
        if held.take_if(|held| Arc::ptr_eq(&held.state, &live.state)).is_some() {
            self.counters.connections_lost.count();
            tracing::warn!(target: TARGET, server = %self.name, %reason, "connection lost");
        }
    }

    /// Waits until all that was sent before is answered: replies come in the order of the requests.
    pub(super) async fn flush(&self) -> Result<(), LinkError> {
        let deadline = Instant::now() + self.settings.request_timeout;
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for seat in seats {
            let Some(mut live) = seat.current() else { continue };
            let ping = redis::cmd("PING");
            match timeout_at(deadline, live.connection.send_packed_command(&ping)).await {
                // A lost connection has no replies to wait for.
                Ok(_) => {}
                Err(_) => return Err(LinkError::Unanswered(Cause::Overdue(self.settings.request_timeout))),
            }
        }
        Ok(())
    }

    /// Takes no more requests, waits for the replies to those under way, and disconnects.
    pub(super) async fn close(&self) -> Result<(), LinkError> {
        self.is_closed.store(true, Ordering::Release);
        let flushed = self.flush().await;
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).clear();
        flushed
    }
}

/// Sends a command, and what goes with it, on one connection.
async fn deliver(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
    how: Delivery,
    deadline: Instant,
) -> Result<Value, LinkError> {
    let failed = |error: redis::RedisError| LinkError::of_request(&error);
    if how == Delivery::default() {
        return connection.send_packed_command(command).await.and_then(Value::extract_error).map_err(failed);
    }
    let mut pipeline = redis::Pipeline::with_capacity(3);
    if how.asking {
        pipeline.cmd("ASKING");
    }
    pipeline.add_command(command.clone());
    if how.replicas > 0 {
        // The answer to the command waits for that to `WAIT`, so that must come before the deadline.
        let left = deadline.saturating_duration_since(Instant::now()) * 3 / 4;
        pipeline.cmd("WAIT").arg(how.replicas).arg(left.as_millis().max(1).to_string());
    }
    let count = pipeline.len();
    let replies = connection.send_packed_commands(&pipeline, 0, count).await.map_err(failed)?;
    let mut replies = replies.into_iter();
    let mut next = || replies.next().unwrap_or(Value::Nil);
    if how.asking {
        next().extract_error().map_err(failed)?;
    }
    let reply = next().extract_error().map_err(failed)?;
    if how.replicas > 0 {
        let confirmed = match next() {
            Value::Int(confirmed) => usize::try_from(confirmed).unwrap_or(0),
            _ => 0,
        };
        if confirmed < how.replicas {
            return Err(LinkError::NotReplicated { confirmed, wanted: how.replicas });
        }
    }
    Ok(reply)
}

impl Seat {
    fn current(&self) -> Option<Live> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.clone().filter(|live| !live.state.is_lost.load(Ordering::Acquire))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}
