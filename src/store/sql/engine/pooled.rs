//! Executes statements over connections to a server.

use std::{sync::Arc, time::Duration};

use sqlx::{Pool, pool::PoolConnection};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use super::{
    answer::Answer,
    connections::{Connections, Lent},
    driver::{Call, Done, Driver, Text, not_connected, refused},
};
use crate::store::{
    StoreErrorKind,
    sql::{
        error::{Meaning, SqlStoreError, advice},
        row::Row,
        statement::Statement,
        statements::Write,
        statistics::Counters,
        value::Value,
    },
};

/// The most retries of a request that the database undid because of another transaction.
const TRIES: u32 = 30;

/// The longest pause before such a retry, in milliseconds.
const LONGEST_PAUSE: u64 = 32;

/// Where connections come from.
pub(in super::super) enum Source<D: Driver> {
    /// The application's pool.
    Given(Pool<D::Db>),
    /// The store's own connections.
    Own(Arc<Connections<D>>),
}

impl<D: Driver> Clone for Source<D> {
    fn clone(&self) -> Self {
        match self {
            Self::Given(pool) => Self::Given(pool.clone()),
            Self::Own(connections) => Self::Own(Arc::clone(connections)),
        }
    }
}

/// A connection for one request.
enum Link<D: Driver> {
    Given(PoolConnection<D::Db>),
    Own(Lent<D>),
}

/// Executes statements over a source of connections.
pub(in super::super) struct Pooled<D: Driver> {
    source: Source<D>,
    settings: PoolSettings,
    counters: Counters,
}

#[derive(Debug, Clone)]
pub(in super::super) struct PoolSettings {
    /// The time limit of a request, including the wait for a connection.
    pub(in super::super) limit: Duration,
    pub(in super::super) prepared: bool,
}

impl<D: Driver> Pooled<D> {
    pub(in super::super) fn new(source: Source<D>, settings: PoolSettings) -> Self {
        Self { source, settings, counters: Counters::default() }
    }

    fn text(&self, statement: &Arc<Statement>, values: &[Value]) -> Text {
        if self.settings.prepared {
            Text::Prepared(Arc::clone(statement.text()), statement.values(values).cloned().collect())
        } else {
            Text::Plain(statement.rendered(values).into())
        }
    }

    pub(super) async fn read(&self, statement: &Arc<Statement>, values: Vec<Value>) -> Result<Vec<Row>, SqlStoreError> {
        let call = Call { text: self.text(statement, &values), rows: true };
        match self.call(call.clone()).await {
            // The server, or a proxy before it, may have closed an idle connection. Try once more on another one.
            Err(error) if error.meaning() == Meaning::Unanswered(StoreErrorKind::Unavailable) => {
                Ok(self.call(call).await?.rows)
            }
            done => Ok(done?.rows),
        }
    }

    pub(super) async fn write(&self, write: &Write, values: Vec<Value>) -> Result<Answer, SqlStoreError> {
        if let Some(combined) = &write.combined {
            let done = self.call(Call { text: self.text(combined, &values), rows: true }).await?;
            let row = done.rows.into_iter().next().ok_or_else(|| SqlStoreError::row("a row is missing"))?;
            let written = row.int(0)?;
            let row = row.without(1);
            return Ok(Answer { written, row: (!row.is_null(0)).then_some(row) });
        }
        let done = self.call(Call { text: self.text(&write.write, &values), rows: false }).await?;
        let row = match &write.or_read {
            // If the read fails, it is still certain that nothing was written.
            Some(read) if done.written == 0 => {
                let rows = self.read(read, values).await.map_err(SqlStoreError::of_step)?;
                rows.into_iter().next()
            }
            _ => None,
        };
        Ok(Answer { written: done.written, row })
    }

    pub(super) async fn transact(
        &self,
        statements: &[Arc<Statement>],
        values: Vec<Value>,
    ) -> Result<u64, SqlStoreError> {
        let mut text = String::from(D::TRANSACTION.0);
        for statement in statements {
            text.push_str(&statement.rendered(&values));
            text.push_str(";\n");
        }
        text.push_str(D::TRANSACTION.1);
        Ok(self.call(Call { text: Text::Plain(text.into()), rows: false }).await?.written)
    }

    pub(super) async fn run(&self, text: String) -> Result<Vec<Row>, SqlStoreError> {
        Ok(self.call(Call { text: Text::Plain(text.into()), rows: true }).await?.rows)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) async fn close(&self) -> Result<(), SqlStoreError> {
        // A pool that was passed in is the application's to close.
        if let Source::Own(connections) = &self.source {
            connections.close().await;
        }
        Ok(())
    }

    async fn call(&self, call: Call) -> Result<Done, SqlStoreError> {
        for attempt in 0.. {
            self.counters.requests.add(1);
            // The future has several kilobytes. Boxed here, it isn't copied at each call on the way into the runtime.
            let once = Box::pin(once(self.source.clone(), self.settings.limit, call.clone()));
            let outcome = uncut(once).await;
            match outcome {
                Err(error) if error.meaning() == Meaning::Beaten && attempt < TRIES => {
                    self.counters.repeated.add(1);
                    pause(attempt).await;
                }
                Err(error) => {
                    if error.meaning() == Meaning::Unanswered(StoreErrorKind::Unavailable) {
                        self.source.found_dead();
                    }
                    if error.meaning() != Meaning::Duplicate {
                        self.counters.failed.add(1);
                    }
                    return Err(error);
                }
                done => return done,
            }
        }
        unreachable!("the last try returns")
    }
}

/// Waits before a retry: for a random time whose maximum doubles with each attempt, up to [`LONGEST_PAUSE`].
async fn pause(attempt: u32) {
    let longest = (1 << attempt.min(5)).min(LONGEST_PAUSE);
    // If no random number is available, the maximum is used.
    let part = crate::id::random_u64().map_or(longest, |random| random % longest + 1);
    sleep(Duration::from_millis(part)).await;
}

/// Runs the work to completion, even if the caller is dropped.
async fn uncut<T: Send + 'static>(
    work: impl Future<Output = Result<T, SqlStoreError>> + Send + 'static,
) -> Result<T, SqlStoreError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(SqlStoreError::new(
                Meaning::Unanswered(StoreErrorKind::Unavailable),
                "the runtime ended before the database had answered",
            )),
        },
    }
}

impl<D: Driver> Source<D> {
    async fn link(&self, limit: Duration, deadline: Instant) -> Result<Link<D>, SqlStoreError> {
        match self {
            Self::Own(connections) => connections.lend(deadline).await.map(Link::Own),
            Self::Given(pool) => match timeout_at(deadline, Box::pin(pool.acquire())).await {
                Ok(Ok(connection)) => Ok(Link::Given(connection)),
                Ok(Err(error)) => Err(not_connected::<D>(error)),
                Err(_) => {
                    let message = format!("no connection to the database was free, or could be made, within {limit:?}");
                    Err(SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Timeout), message))
                }
            },
        }
    }

    fn found_dead(&self) {
        if let Self::Own(connections) = self {
            connections.found_dead();
        }
    }
}

impl<D: Driver> Link<D> {
    async fn run(&mut self, call: &Call) -> Result<Done, sqlx::Error> {
        match self {
            Self::Given(connection) => D::run(connection, call).await,
            Self::Own(connection) => D::run(connection, call).await,
        }
    }

    /// Returns the connection for other requests. It must be in a clean state.
    fn give_back(self) {
        if let Self::Own(connection) = self {
            connection.give_back();
        }
    }

    /// Closes the connection, which may be in the middle of an answer or of a transaction.
    fn discard(self) {
        if let Self::Given(connection) = self {
            drop(connection.detach());
        }
    }
}

async fn once<D: Driver>(source: Source<D>, limit: Duration, call: Call) -> Result<Done, SqlStoreError> {
    let deadline = Instant::now() + limit;
    let mut link = source.link(limit, deadline).await?;
    match timeout_at(deadline, link.run(&call)).await {
        Ok(Ok(done)) => {
            link.give_back();
            Ok(done)
        }
        Ok(Err(error)) => {
            let refused = refused::<D>(error);
            tidy(link, deadline, &call, &refused).await;
            Err(refused)
        }
        Err(_) => {
            // The rest of the answer may still arrive on this connection, so it must not be used again.
            link.discard();
            Err(SqlStoreError::late(limit))
        }
    }
}

/// Returns a connection after an error, but only if it is in a clean state; otherwise closes it.
async fn tidy<D: Driver>(mut link: Link<D>, deadline: Instant, call: &Call, error: &SqlStoreError) {
    // If the server has become read-only, the next request should connect anew, perhaps to another server. A broken
    // prepared statement stays broken on its connection.
    let is_spoiled = [advice::READ_ONLY, advice::PREPARED].iter().any(|advice| error.advice() == Some(advice));
    let mut usable = !error.is_unanswered() && !is_spoiled;
    if usable && matches!(call.text, Text::Plain(_)) && !D::ROLLBACK.is_empty() {
        let rollback = Call { text: Text::Plain(D::ROLLBACK.into()), rows: false };
        usable = matches!(timeout_at(deadline, link.run(&rollback)).await, Ok(Ok(_)));
    }
    if usable {
        link.give_back();
    } else {
        link.discard();
    }
}
