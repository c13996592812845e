//! SQLite, on threads of our own.
//!
//! - `writer`: the thread that writes. It commits all writes that wait in one transaction, so that one sync serves them all.
//! - `readers`: the threads that read.
//! - `file`: the file's rights, and how a connection is set up.
//! - `execute`: statements on a connection, and what its errors mean.
//!
//! Measured before it was chosen (updates of 300 bytes in WAL mode with `synchronous=FULL`, 32 callers, 2 cores, a disk
//! that syncs in 40 µs): 16,400 a second over a pool of sqlx of one connection and 23,700 over one of ten, 45,300 with the
//! writes that wait in one transaction over sqlx, whose worker is asked for each statement by itself, and 208,000 here.
//! Reads: 39,000 over sqlx, 103,000 on one thread here and 181,000 on four.

mod execute;
mod file;
mod readers;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use self::{readers::Readers, writer::Writer};
use super::Answer;
use crate::store::{
    durability::Durability,
    sql::{
        error::SqlStoreError, row::Row, statement::Statement, statements::Write, statistics::Counters, value::Value,
    },
};

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// In this process's memory.
    Memory,
    /// In this file. Whether it is created if it is missing.
    File { path: PathBuf, create: bool },
}

#[derive(Debug, Clone)]
pub(in super::super) struct SqliteSettings {
    pub(in super::super) place: Place,
    pub(in super::super) durability: Durability,
    pub(in super::super) readers: usize,
    /// How long a request may take, with the wait for other processes.
    pub(in super::super) limit: Duration,
}

/// A database of SQLite.
pub(in super::super) struct SqliteEngine {
    writer: Writer,
    /// `None` for a database in memory, which has one connection.
    readers: Option<Readers>,
    counters: Arc<Counters>,
}

impl SqliteEngine {
    /// Opens the file, or makes it.
    pub(in super::super) async fn open(settings: SqliteSettings) -> Result<Self, SqlStoreError> {
        let counters = Arc::<Counters>::default();
        let writer = Writer::open(&settings, Arc::clone(&counters)).await?;
        let readers = match &settings.place {
            Place::Memory => None,
            Place::File { path, .. } => Some(Readers::open(path, settings.readers, settings.limit).await?),
        };
        Ok(Self { writer, readers, counters })
    }

    pub(super) async fn read(&self, statement: &Arc<Statement>, values: Vec<Value>) -> Result<Vec<Row>, SqlStoreError> {
        self.counters.requests.add(1);
        let statement = Arc::clone(statement);
        let outcome = match &self.readers {
            Some(readers) => readers.read(statement, values).await,
            None => self.writer.read(move |connection| execute::rows(connection, &statement, &values)).await,
        };
        self.counted(outcome)
    }

    pub(super) async fn write(&self, write: &Write, values: Vec<Value>) -> Result<Answer, SqlStoreError> {
        self.counters.requests.add(1);
        let (statement, or_read, returns) = (Arc::clone(&write.write), write.or_read.clone(), write.returns);
        let work = move |connection: &rusqlite::Connection| {
            let mut answer = Answer::default();
            if returns {
                answer.row = execute::rows(connection, &statement, &values)?.into_iter().next();
                answer.written = u64::from(answer.row.is_some());
            } else {
                answer.written = execute::written(connection, &statement, &values)?;
            }
            if let Some(read) = or_read.filter(|_| answer.written == 0) {
                answer.row = execute::rows(connection, &read, &values)?.into_iter().next();
            }
            Ok(answer)
        };
        let outcome = self.writer.write(write.ends, work).await;
        self.counted(outcome)
    }

    pub(super) async fn transact(
        &self,
        statements: &[Arc<Statement>],
        values: Vec<Value>,
    ) -> Result<u64, SqlStoreError> {
        self.counters.requests.add(1);
        let statements = statements.to_vec();
        let work = move |connection: &rusqlite::Connection| {
            execute::all_or_none(connection, || {
                statements.iter().map(|statement| execute::written(connection, statement, &values)).sum()
            })
        };
        let outcome = self.writer.write(true, work).await;
        self.counted(outcome)
    }

    pub(super) async fn run(&self, text: String) -> Result<Vec<Row>, SqlStoreError> {
        self.counters.requests.add(1);
        let work = move |connection: &rusqlite::Connection| {
            execute::all_or_none(connection, || execute::batch(connection, &text))
        };
        let outcome = self.writer.write(true, work).await;
        self.counted(outcome)
    }

    pub(super) fn in_memory(&self) -> bool {
        self.readers.is_none()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Waits for what is under way, and closes the file.
    pub(in super::super) async fn close(&self) -> Result<(), SqlStoreError> {
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        self.writer.close().await
    }

    pub(super) async fn flush(&self) -> Result<(), SqlStoreError> {
        self.writer.flush().await
    }

    fn counted<T>(&self, outcome: Result<T, SqlStoreError>) -> Result<T, SqlStoreError> {
        use crate::store::sql::error::Meaning;
        if let Err(error) = &outcome
            && error.meaning() != Meaning::Duplicate
        {
            self.counters.failed.add(1);
        }
        outcome
    }
}
