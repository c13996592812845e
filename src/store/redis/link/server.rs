//! The connections to one server.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    runtime,
    time::{Instant, timeout_at},
};

use super::{
    super::events::TARGET,
    connection::{Connection, Delivery, Driven, Lane, Live, Request, State, deliver},
    counters::Counters,
    error::{Cause, LinkError, RefusalKind},
    greeting::{Greeting, eviction_policy},
    seat::Seat,
    settings::LinkSettings,
    target::Target,
    tracking::Tracking,
};

/// A connection to a replica is replaced once it is this old. The store then looks for the primary again, by the
/// server's name or at the Sentinels.
const REPLICA_KEPT: std::time::Duration = std::time::Duration::from_secs(1);

/// One server, and the connections to it. Each runtime that uses the store has its own connections, so no runtime
/// depends on another to drive its requests.
pub(super) struct Server {
    target: Target,
    name: Arc<str>,
    settings: LinkSettings,
    counters: Arc<Counters>,
    /// Present if the server reports changes.
    tracking: Option<Arc<Tracking>>,
    seats: Mutex<Vec<Arc<Seat>>>,
    turn: AtomicUsize,
    /// The zero of the times in [`Progress`](super::seat::Progress) and [`State`].
    made: Instant,
    is_closed: AtomicBool,
    /// Whether the warning about the server's eviction policy has been logged.
    is_warned: AtomicBool,
}

/// An answer, and the connection on which it arrived.
pub(super) type Answer = (Value, Connection);

type Connecting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Live, Cause>> + Send + 'a>>;

impl Server {
    /// Creates a server without any connection.
    pub(super) fn new(
        target: Target,
        settings: LinkSettings,
        counters: Arc<Counters>,
        tracking: Option<Arc<Tracking>>,
    ) -> Self {
        Self {
            name: target.to_string().into(),
            target,
            settings,
            counters,
            tracking,
            seats: Mutex::default(),
            turn: AtomicUsize::new(0),
            made: Instant::now(),
            is_closed: AtomicBool::new(false),
            is_warned: AtomicBool::new(false),
        }
    }

    /// The server's name in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a command, and waits for the reply until the deadline.
    pub(super) async fn call(&self, command: &Cmd, how: Delivery, deadline: Instant) -> Result<Answer, LinkError> {
        self.counted(Request::Command(command, how), deadline).await
    }

    /// Sends a command that reads, and that a replica must not answer; see [`Link::read`](super::dispatch::Link::read).
    pub(super) async fn read(&self, command: &Cmd, deadline: Instant) -> Result<Answer, LinkError> {
        self.counted(Request::Read(command), deadline).await
    }

    async fn counted(&self, request: Request<'_>, deadline: Instant) -> Result<Answer, LinkError> {
        let result = self.try_call(request, deadline).await;
        match &result {
            Ok(_) => {}
            Err(LinkError::Refused(_)) => self.counters.refused.count(),
            Err(LinkError::NotSent(_)) => self.counters.not_sent.count(),
            Err(LinkError::Unanswered(_)) => self.counters.unanswered.count(),
            Err(LinkError::NotReplicated { .. }) => self.counters.not_replicated.count(),
        }
        result
    }

    async fn try_call(&self, request: Request<'_>, deadline: Instant) -> Result<Answer, LinkError> {
        let overdue = || Cause::Overdue(self.settings.request_timeout);
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LinkError::NotSent(Cause::Closed));
        }
        // The deadline is the request's start plus the time limit, so the start needs no extra clock.
        let age = deadline.saturating_duration_since(self.made).saturating_sub(self.settings.request_timeout);
        let micros = age.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(age.subsec_micros()));
        let seat = self.seat(request.lane(), micros);
        let connected = timeout_at(deadline, self.live(&seat)).await.unwrap_or_else(|_| Err(overdue()));
        let mut live = connected.map_err(LinkError::NotSent)?;
        self.counters.requests.count();
        let before = live.state.answers.load(Ordering::Relaxed);
        let _under_way = seat.progress.begin();
        let Ok(reply) = timeout_at(deadline, deliver(&mut live, request, deadline, micros)).await else {
            // A connection on which no answers arrive at all may be dead without notice.
            if live.state.answers.load(Ordering::Relaxed) == before {
                self.give_up(&seat, &live, "no answers arrive");
            }
            return Err(LinkError::Unanswered(overdue()));
        };
        seat.progress.answered();
        match &reply {
            Ok(_) => live.state.answered(),
            Err(LinkError::Unanswered(cause)) => self.give_up(&seat, &live, cause),
            // The primary has become a replica. Connecting again finds the present primary.
            Err(LinkError::Refused(refusal))
                if refusal.kind == RefusalKind::ReadOnly && live.since.elapsed() >= REPLICA_KEPT =>
            {
                self.give_up(&seat, &live, "the server is a replica");
            }
            Err(_) => {}
        }
        Ok((reply?, Connection(live.state)))
    }

    /// The first of this runtime's places that is not held up at this time. If all are, opens another or takes them in
    /// turn.
    ///
    /// The places are not used in turn otherwise: many requests on one connection take few system calls. Spread over
    /// two connections, they took a third more processor time, both here and in the server.
    fn seat(&self, lane: Lane, micros: u64) -> Arc<Seat> {
        let runtime = runtime::Handle::current().id();
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let own = || seats.iter().filter(|seat| seat.runtime == runtime && seat.lane == lane);
        if let Some(seat) = own().find(|seat| !seat.progress.is_held_up(micros)) {
            return Arc::clone(seat);
        }
        let count = own().count();
        if count >= self.settings.connections
            && let Some(seat) = own().nth(self.turn.fetch_add(1, Ordering::Relaxed) % count)
        {
            return Arc::clone(seat);
        }
        // Drops the places of runtimes that have ended.
        seats.retain(|seat| seat.runtime == runtime || seat.current().is_some());
        let seat = Arc::new(Seat::new(runtime, lane));
        seats.push(Arc::clone(&seat));
        seat
    }

    /// Returns the place's connection. Connects if there is none.
    async fn live(&self, seat: &Seat) -> Result<Live, Cause> {
        match seat.current() {
            Some(live) => Ok(live),
            // Boxed, so that not every request's future reserves room for a handshake.
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
        match self.connect(seat.lane).await {
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

    async fn connect(&self, lane: Lane) -> Result<Live, Cause> {
        let state = Arc::new(State::new(self.made));
        let driven = Driven(Arc::clone(&state));
        // Connections for writes that wait for replicas aren't used for reads, so they track nothing.
        let tracking = self.tracking.clone().filter(|_| lane == Lane::Any);
        let tracked = tracking.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(self.settings.queue)
            .set_push_sender(move |push: PushInfo| {
                match push.kind {
                    PushKind::Disconnection => driven.0.is_lost.store(true, Ordering::Release),
                    PushKind::Invalidate => tracked.iter().for_each(|tracking| tracking.read_push(&push.data)),
                    _ => {}
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
            if tracking.is_some() {
                begin_tracking(&mut connection).await?;
            }
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

    /// Warns, once, about a policy by which the server evicts sessions.
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

    /// Has the next request open another connection. Requests that were sent on this one can still be answered.
    fn give_up(&self, seat: &Seat, live: &Live, reason: impl fmt::Display) {
        let mut held = seat.live.lock().unwrap_or_else(PoisonError::into_inner);
        if held.take_if(|held| Arc::ptr_eq(&held.state, &live.state)).is_some() {
            self.counters.connections_lost.count();
            tracing::warn!(target: TARGET, server = %self.name, %reason, "connection lost");
        }
    }

    /// Waits until every request that was sent before is answered. Replies come in the order of the requests.
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

    /// Refuses new requests, waits for the replies to those in progress, and disconnects.
    pub(super) async fn close(&self) -> Result<(), LinkError> {
        self.is_closed.store(true, Ordering::Release);
        let flushed = self.flush().await;
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).clear();
        flushed
    }
}

/// Has the server report when a key that was read on this connection may have changed.
async fn begin_tracking(connection: &mut MultiplexedConnection) -> Result<(), Cause> {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON");
    let reply = connection.send_packed_command(&command).await.and_then(Value::extract_error);
    let refused =
        |error| format!("the server refuses `CLIENT TRACKING ON`, which the setting `tracking` needs: {error}");
    reply.map(drop).map_err(|error| Cause::Unsuitable(refused(error).into()))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}
