//! What carries out statements: a pool of sqlx for the databases with a server, threads of our own for SQLite.
//!
//! **A dropped future never interrupts a statement.** Each request to a server runs in a task of the caller's runtime, and
//! the caller only waits for it. sqlx is not safe to interrupt everywhere: in sqlx-mysql 0.9.0 a connection that is
//! dropped while it prepares a statement takes the rest of that answer for the next query's, or waits for ever for an
//! answer to what was not sent.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod pooled;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

#[cfg(feature = "mysql")]
pub(super) use self::mysql::MySqlDriver;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use self::pooled::{Doubt, PoolSettings, Pooled};
#[cfg(feature = "postgres")]
pub(super) use self::postgres::PostgresDriver;
#[cfg(feature = "sqlite")]
pub(super) use self::sqlite::{Place, SqliteEngine, SqliteSettings};
use super::{
    error::SqlStoreError, row::Row, statement::Statement, statements::Write, statistics::Counters, value::Value,
};

/// What a write has done.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// How many rows it has written.
    pub(super) written: u64,
    /// The row as it was written, or else the row that was read.
    pub(super) row: Option<Row>,
}

/// The database.
pub(super) enum Engine {
    #[cfg(feature = "postgres")]
    Postgres(Pooled<PostgresDriver>),
    #[cfg(feature = "mysql")]
    MySql(Pooled<MySqlDriver>),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteEngine),
}

macro_rules! each {
    ($self:expr, $engine:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "postgres")]
            Self::Postgres($engine) => $call,
            #[cfg(feature = "mysql")]
            Self::MySql($engine) => $call,
            #[cfg(feature = "sqlite")]
            Self::Sqlite($engine) => $call,
        }
    };
}

impl Engine {
    /// Reads rows. It may be repeated.
    pub(super) async fn read(&self, statement: &Arc<Statement>, values: Vec<Value>) -> Result<Vec<Row>, SqlStoreError> {
        each!(self, engine => engine.read(statement, values).await)
    }

    /// Writes, and reads what is to be read.
    pub(super) async fn write(&self, write: &Write, values: Vec<Value>) -> Result<Answer, SqlStoreError> {
        each!(self, engine => engine.write(write, values).await)
    }

    /// Runs statements as one transaction; returns how many rows they wrote.
    pub(super) async fn transact(
        &self,
        statements: &[Arc<Statement>],
        values: Vec<Value>,
    ) -> Result<u64, SqlStoreError> {
        each!(self, engine => engine.transact(statements, values).await)
    }

    /// Runs statements in one request; returns the rows of the first that has some. What makes a transaction of them is
    /// among them.
    pub(super) async fn run(&self, text: String) -> Result<Vec<Row>, SqlStoreError> {
        each!(self, engine => engine.run(text).await)
    }

    pub(super) fn counters(&self) -> &Counters {
        each!(self, engine => engine.counters())
    }

    /// Whether the records are in this process's memory.
    pub(super) fn in_memory(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.in_memory(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => false,
        }
    }

    /// Ends what is the engine's own.
    pub(super) async fn close(&self) -> Result<(), SqlStoreError> {
        each!(self, engine => engine.close().await)
    }

    /// Makes durable what was written.
    pub(super) async fn flush(&self) -> Result<(), SqlStoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.flush().await,
            // The server's settings say when a commit is durable.
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => Ok(()),
        }
    }
}
