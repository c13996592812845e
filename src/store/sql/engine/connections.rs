//! A store's own connections to a server.

use std::{
    io::ErrorKind,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, Database};
use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};

use super::driver::{Driver, not_connected};
use crate::store::{
    StoreErrorKind,
    backoff::Backoff,
    sql::error::{Meaning, SqlStoreError},
};

type Connection<D> = <<D as Driver>::Db as Database>::Connection;

/// How connections of a driver are made.
pub(in super::super) type Options<D> = <Connection<D> as sqlx::Connection>::Options;

/// How long a connection may be idle and still be used without a ping.
const TRUSTED: Duration = Duration::from_secs(1);

/// The longest time that a connection may be idle. After this, it is closed when another one is returned.
const LONGEST_IDLE: Duration = Duration::from_secs(600);

/// The age from which a connection is closed when it is returned.
const LONGEST_LIFE: Duration = Duration::from_secs(1_800);

/// Pauses between attempts to connect to a server that is starting up.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connections, each lent for one request at a time.
///
/// sqlx's pool pings a connection each time it is returned, in a separate task. That costs a second round trip for each
/// request, and isn't needed here, since a request returns its connection only in a clean state. So a connection is
/// pinged only before it is used, and only if it has been idle for [`TRUSTED`], or if another one was found dead since
/// its last use.
pub(in super::super) struct Connections<D: Driver> {
    options: Options<D>,
    most: u32,
    free: Arc<Semaphore>,
    /// In the order of their last use, the most recent last.
    idle: Mutex<Vec<Idle<D>>>,
    closed: AtomicBool,
    /// When a connection was last found dead. Those that were idle at that time may be dead as well.
    doubt: Mutex<Option<Instant>>,
}

struct Live<D: Driver> {
    connection: Connection<D>,
    since: Instant,
}

struct Idle<D: Driver> {
    live: Live<D>,
    /// The runtime that drives it.
    runtime: runtime::Id,
    since: Instant,
}

/// A connection for one request. Dropping it closes it; [`give_back`](Self::give_back) returns it.
pub(super) struct Lent<D: Driver> {
    live: Live<D>,
    home: Arc<Connections<D>>,
    _permit: OwnedSemaphorePermit,
}

impl<D: Driver> Connections<D> {
    /// Allows at most `most` connections, at least 1. None is opened before the first request.
    pub(in super::super) fn new(options: Options<D>, most: u32) -> Self {
        let most = most.max(1);
        Self {
            options,
            most,
            free: Arc::new(Semaphore::new(most as usize)),
            idle: Mutex::default(),
            closed: AtomicBool::new(false),
            doubt: Mutex::default(),
        }
    }

    /// Notes that a connection was found dead.
    pub(super) fn found_dead(&self) {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_trusted(&self, since: Instant) -> bool {
        let doubt = *self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        since.elapsed() < TRUSTED && doubt.is_none_or(|doubt| doubt < since)
    }

    /// Returns an idle connection, or a new one.
    pub(super) async fn lend(self: &Arc<Self>, deadline: Instant) -> Result<Lent<D>, SqlStoreError> {
        let permit = match timeout_at(deadline, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) if !self.closed.load(Ordering::Acquire) => permit,
            Ok(_) => return Err(closed()),
            Err(_) => {
                let message = format!("none of the {} connections to the database was free in time", self.most);
                return Err(SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Timeout), message));
            }
        };
        let live = match self.idle_one(deadline).await {
            Some(live) => live,
            None => {
                self.make_room();
                // This future is large. Without the box, the future of every request would contain it.
                Live { connection: Box::pin(self.connect(deadline)).await?, since: Instant::now() }
            }
        };
        Ok(Lent { live, home: Arc::clone(self), _permit: permit })
    }

    async fn idle_one(&self, deadline: Instant) -> Option<Live<D>> {
        loop {
            let runtime = runtime::Handle::current().id();
            let Idle { mut live, since, .. } = {
                let mut idle = self.idle();
                // A connection is driven by its own runtime, which may have ended, so no other runtime uses it.
                let at = idle.iter().rposition(|idle| idle.runtime == runtime)?;
                idle.remove(at)
            };
            if self.is_trusted(since) {
                return Some(live);
            }
            // If the connection has died without a sign, the ping is never answered. Leave time for a new connection.
            let now = Instant::now();
            let limit = now + deadline.saturating_duration_since(now) / 4;
            if matches!(timeout_at(limit, live.connection.ping()).await, Ok(Ok(()))) {
                return Some(live);
            }
            self.found_dead();
        }
    }

    /// Closes an idle connection of another runtime if a new one would exceed the limit.
    fn make_room(&self) {
        let most = self.most as usize;
        let lent = most.saturating_sub(self.free.available_permits());
        let mut idle = self.idle();
        let over = (idle.len() + lent > most && !idle.is_empty()).then(|| idle.remove(0));
        drop(idle);
        drop(over);
    }

    /// Connects. If the server is starting up, tries again until the deadline.
    async fn connect(&self, deadline: Instant) -> Result<Connection<D>, SqlStoreError> {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut last = None;
        loop {
            match timeout_at(deadline, self.options.connect()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) if is_transient(&error) => last = Some(error),
                Ok(Err(error)) => return Err(not_connected::<D>(error)),
                Err(_) => return Err(late::<D>(last)),
            }
            let next = Instant::now() + pauses.next();
            if next >= deadline {
                sleep_until(deadline).await;
                return Err(late::<D>(last));
            }
            sleep_until(next).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<D>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the requests under way, then closes all connections.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // An error means that they are closed already.
        let _ = self.free.acquire_many(self.most).await;
        self.free.close();
        let idle = std::mem::take(&mut *self.idle());
        for Idle { live, .. } in idle {
            part::<D>(live).await;
        }
    }
}

impl<D: Driver> Lent<D> {
    /// Returns the connection for the next request. No part of an answer may be left on it, and it must not be in a
    /// transaction.
    pub(super) fn give_back(self) {
        let Self { live, home, _permit } = self;
        let now = Instant::now();
        let mut idle = home.idle();
        let over = match idle.first() {
            Some(oldest) if now - oldest.since > LONGEST_IDLE => Some(idle.remove(0).live),
            _ => None,
        };
        let over = if now - live.since > LONGEST_LIFE {
            over.into_iter().chain([live]).collect::<Vec<_>>()
        } else {
            idle.push(Idle { live, runtime: runtime::Handle::current().id(), since: now });
            over.into_iter().collect()
        };
        drop(idle);
        for live in over {
            tokio::spawn(part::<D>(live));
        }
        // The permit is released last, so that the next request that gets it finds this connection.
    }
}

/// Closes a connection, and tells the server first.
async fn part<D: Driver>(live: Live<D>) {
    let limit = Instant::now() + TRUSTED;
    let _ = timeout_at(limit, live.connection.close()).await;
}

fn closed() -> SqlStoreError {
    SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Unavailable), "the store is closed")
}

/// The error when the deadline has passed, with the reason of the last failed attempt to connect, if there was one.
fn late<D: Driver>(last: Option<sqlx::Error>) -> SqlStoreError {
    last.map_or_else(
        || {
            let meaning = Meaning::NotSent(StoreErrorKind::Timeout);
            SqlStoreError::new(meaning, "the database did not accept a connection in time")
        },
        not_connected::<D>,
    )
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

impl<D: Driver> Deref for Lent<D> {
    type Target = Connection<D>;

    fn deref(&self) -> &Connection<D> {
        &self.live.connection
    }
}

impl<D: Driver> DerefMut for Lent<D> {
    fn deref_mut(&mut self) -> &mut Connection<D> {
        &mut self.live.connection
    }
}
