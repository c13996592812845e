//! The database behind a store.

use std::sync::Arc;

use super::answer::Answer;
#[cfg(feature = "mysql")]
use super::mysql::MySqlDriver;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::pooled::Pooled;
#[cfg(feature = "postgres")]
use super::postgres::PostgresDriver;
#[cfg(feature = "sqlite")]
use super::sqlite::SqliteEngine;
use crate::store::sql::{
    error::SqlStoreError, row::Row, statement::Statement, statements::Write, statistics::Counters, value::Value,
};

/// A database of one of the supported kinds.
pub(in crate::store::sql) enum Engine {
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
    /// Returns the rows of a query, which may be sent twice.
    pub(in crate::store::sql) async fn read(
        &self,
        statement: &Arc<Statement>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, SqlStoreError> {
        each!(self, engine => engine.read(statement, values).await)
    }

    /// Runs a write together with the read that belongs to it.
    pub(in crate::store::sql) async fn write(
        &self,
        write: &Write,
        values: Vec<Value>,
    ) -> Result<Answer, SqlStoreError> {
        each!(self, engine => engine.write(write, values).await)
    }

    /// Runs statements in one transaction; returns the number of rows that they wrote.
    pub(in crate::store::sql) async fn transact(
        &self,
        statements: &[Arc<Statement>],
        values: Vec<Value>,
    ) -> Result<u64, SqlStoreError> {
        each!(self, engine => engine.transact(statements, values).await)
    }

    /// Runs statements in one request and returns their rows. If they need a transaction, `text` must begin and end it.
    pub(in crate::store::sql) async fn run(&self, text: String) -> Result<Vec<Row>, SqlStoreError> {
        each!(self, engine => engine.run(text).await)
    }

    pub(in crate::store::sql) fn counters(&self) -> &Counters {
        each!(self, engine => engine.counters())
    }

    /// Whether the records are kept in this process's memory.
    pub(in crate::store::sql) fn in_memory(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.in_memory(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => false,
        }
    }

    /// Closes the connections that the engine created.
    pub(in crate::store::sql) async fn close(&self) -> Result<(), SqlStoreError> {
        each!(self, engine => engine.close().await)
    }

    /// Makes all committed writes durable.
    pub(in crate::store::sql) async fn flush(&self) -> Result<(), SqlStoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.flush().await,
            // On a server, its settings determine when a commit is durable.
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => Ok(()),
        }
    }
}
