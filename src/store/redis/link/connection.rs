//! One connection, and how requests are sent on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{Arg, Cmd, Pipeline, Value, aio::MultiplexedConnection};
use tokio::time::Instant;

use super::error::{LinkError, RefusalKind};

/// How long a server counts as a primary after it has executed a command that a replica refuses, in microseconds.
/// Sending such a command with every read would take a sixth more processor time for each request.
const PRIMARY_MICROS: u64 = 100_000;

/// The number of the argument of a script's invocation that is its first key; see [`keys`].
const FIRST_KEY: usize = 3;

/// An open connection.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    pub(super) state: Arc<State>,
    pub(super) since: Instant,
}

pub(super) struct State {
    /// Whether the connection has ended, so that nothing sent on it will arrive.
    pub(super) is_lost: AtomicBool,
    pub(super) answers: AtomicU64,
    /// When the [`Server`](super::server::Server) was created. The times below are relative to it.
    made: Instant,
    /// The time until which reads are sent without a guard, in microseconds.
    primary_until: AtomicU64,
    /// The start of the latest request that a primary has executed, in microseconds.
    proven: AtomicU64,
}

impl State {
    pub(super) fn new(made: Instant) -> Self {
        let (is_lost, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { is_lost, answers, made, primary_until: AtomicU64::new(0), proven: AtomicU64::new(0) }
    }

    /// Notes that a request was answered.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a primary has executed a request that began at this time, in microseconds.
    fn executed_by_primary(&self, began: u64) {
        self.proven.fetch_max(began, Ordering::Release);
    }

    fn was_primary(&self, micros: u64) -> bool {
        micros < self.primary_until.load(Ordering::Relaxed)
    }
}

/// The connection on which an answer arrived.
#[derive(Clone)]
pub(in super::super) struct Connection(pub(super) Arc<State>);

impl Connection {
    /// Returns whether a primary has executed a request that began at most this long ago, and the connection has not
    /// been lost since. If so, everything that the server sent before that answer has arrived.
    pub(in super::super) fn is_proven(&self, within: Duration) -> bool {
        let state = &self.0;
        let proven = Duration::from_micros(state.proven.load(Ordering::Acquire));
        !state.is_lost.load(Ordering::Acquire) && state.made.elapsed().saturating_sub(proven) < within
    }
}

/// Marks a connection as lost when it is dropped, together with the task that drives the connection.
pub(super) struct Driven(pub(super) Arc<State>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.is_lost.store(true, Ordering::Release);
    }
}

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Any,
    /// Writes that wait for replicas. `WAIT` delays everything that is sent after it on its connection.
    Waiting,
}

/// A request to send.
#[derive(Clone, Copy)]
pub(super) enum Request<'a> {
    Command(&'a Cmd, Delivery),
    /// A command that only reads, and whose first argument is a key. Unless the server was recently found to be a
    /// primary on this connection, the command is sent behind another one, which a replica refuses.
    Read(&'a Cmd),
}

impl Request<'_> {
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Command(_, how) if how.replicas > 0 => Lane::Waiting,
            Self::Command(..) | Self::Read(_) => Lane::Any,
        }
    }
}

/// How a command is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delivery {
    /// Send `ASKING` first: the node is the target of a slot that is being moved.
    pub(super) asking: bool,
    /// Send `WAIT` afterwards, for this many replicas. 0: don't.
    pub(super) replicas: usize,
    /// Whether only the primary of its keys executes it, so that an answer proves that the connection leads to that
    /// primary.
    pub(super) by_primary: bool,
    /// This range of the value under the script's first key is read right after the script, in the same round trip. The
    /// reply is then an array of the two replies.
    pub(super) read_back: Option<(u8, u8)>,
}

/// Sends a request on one connection.
pub(super) async fn deliver(
    Live { connection, state, .. }: &mut Live,
    request: Request<'_>,
    deadline: Instant,
    micros: u64,
) -> Result<Value, LinkError> {
    let failed = |error: redis::RedisError| LinkError::of_request(&error);
    let (command, how) = match request {
        Request::Command(command, how) => (command, how),
        Request::Read(command) if state.was_primary(micros) => (command, Delivery::default()),
        Request::Read(command) => {
            let mut replies = connection.send_packed_commands(&guarded(command), 0, 2).await.map_err(failed)?;
            let reply = replies.pop().unwrap_or(Value::Nil);
            let guard = replies.pop().unwrap_or(Value::Nil).extract_error().map_err(failed);
            // Other errors concern only writes.
            match guard {
                Err(LinkError::Refused(refusal)) if refusal.kind == RefusalKind::ReadOnly => {
                    return Err(LinkError::Refused(refusal));
                }
                Ok(_) => {
                    state.primary_until.store(micros.saturating_add(PRIMARY_MICROS), Ordering::Relaxed);
                    state.executed_by_primary(micros);
                }
                Err(_) => {}
            }
            return reply.extract_error().map_err(failed);
        }
    };
    if !how.asking && how.replicas == 0 && how.read_back.is_none() {
        let reply = connection.send_packed_command(command).await.and_then(Value::extract_error).map_err(failed)?;
        if how.by_primary {
            state.executed_by_primary(micros);
        }
        return Ok(reply);
    }
    let mut pipeline = Pipeline::with_capacity(4);
    if how.asking {
        pipeline.cmd("ASKING");
    }
    pipeline.add_command(command.clone());
    if how.replicas > 0 {
        // The answer to the command is held back until `WAIT` is answered, which must therefore happen before the
        // deadline.
        let left = deadline.saturating_duration_since(Instant::now()) * 3 / 4;
        pipeline.cmd("WAIT").arg(how.replicas).arg(left.as_millis().max(1).to_string());
    }
    if let Some((first, last)) = how.read_back {
        let key = keys(command, FIRST_KEY).next().unwrap_or_default();
        pipeline.cmd("GETRANGE").arg(key).arg(first).arg(last);
    }
    let count = pipeline.len();
    let replies = connection.send_packed_commands(&pipeline, 0, count).await.map_err(failed)?;
    let mut replies = replies.into_iter();
    let mut next = || replies.next().unwrap_or(Value::Nil);
    if how.asking {
        next().extract_error().map_err(failed)?;
    }
    let reply = next().extract_error().map_err(failed)?;
    if how.by_primary {
        state.executed_by_primary(micros);
    }
    if how.replicas > 0 {
        let confirmed = match next() {
            Value::Int(confirmed) => usize::try_from(confirmed).unwrap_or(0),
            _ => 0,
        };
        if confirmed < how.replicas {
            return Err(LinkError::NotReplicated { confirmed, wanted: how.replicas });
        }
    }
    if how.read_back.is_some() {
        return Ok(Value::Array(vec![reply, next()]));
    }
    Ok(reply)
}

/// The keys of a command, from this argument on. The name of the command is the first argument, with the number 0.
pub(super) fn keys(command: &Cmd, first: usize) -> impl Iterator<Item = &[u8]> {
    command.args_iter().skip(first).filter_map(|arg| match arg {
        Arg::Simple(key) => Some(key),
        _ => None,
    })
}

/// Puts a command that a replica refuses before this one: the removal of a key that never exists, which changes
/// nothing.
fn guarded(command: &Cmd) -> Pipeline {
    let mut guard = Cmd::with_capacity(2, 256);
    guard.arg("UNLINK");
    if let Some(key) = keys(command, 1).next() {
        guard.arg([key, b":none"].concat());
    }
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.add_command(guard).add_command(command.clone());
    pipeline
}
