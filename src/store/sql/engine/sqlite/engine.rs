//! The SQLite engine: one writer and several readers.

use std::sync::Arc;

use super::{
    execute,
    readers::Readers,
    settings::{Place, SqliteSettings},
    writer::Writer,
};
use crate::store::sql::{
    engine::answer::Answer,
    error::{Meaning, SqlStoreError},
    row::Row,
    statement::Statement,
    statements::Write,
    statistics::Counters,
    value::Value,
};

/// An SQLite database.
pub(in crate::store::sql) struct SqliteEngine {
    writer: Writer,
    /// `None` for an in-memory database, which has one connection.
    readers: Option<Readers>,
    counters: Arc<Counters>,
}

impl SqliteEngine {
    /// Opens the database, and creates its file if it is missing and the settings allow it.
    pub(in crate::store::sql) async fn open(settings: SqliteSettings) -> Result<Self, SqlStoreError> {
        let counters = Arc::<Counters>::default();
        let writer = Writer::open(&settings, Arc::clone(&counters)).await?;
        let readers = match &settings.place {
            Place::Memory => None,
            Place::File { path, .. } => Some(Readers::open(path, settings.readers, settings.limit).await?),
        };
        Ok(Self { writer, readers, counters })
    }

    pub(in crate::store::sql::engine) async fn read(
        &self,
        statement: &Arc<Statement>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, SqlStoreError> {
        self.counters.requests.add(1);
        let statement = Arc::clone(statement);
        let outcome = match &self.readers {
            Some(readers) => readers.read(statement, values).await,
            None => self.writer.read(move |connection| execute::rows(connection, &statement, &values)).await,
        };
        self.counted(outcome)
    }

    pub(in crate::store::sql::engine) async fn write(
        &self,
        write: &Write,
        values: Vec<Value>,
    ) -> Result<Answer, SqlStoreError> {
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

    pub(in crate::store::sql::engine) async fn transact(
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

    pub(in crate::store::sql::engine) async fn run(&self, text: String) -> Result<Vec<Row>, SqlStoreError> {
        self.counters.requests.add(1);
        let work = move |connection: &rusqlite::Connection| {
            execute::all_or_none(connection, || execute::batch(connection, &text))
        };
        let outcome = self.writer.write(true, work).await;
        self.counted(outcome)
    }

    pub(in crate::store::sql::engine) fn in_memory(&self) -> bool {
        self.readers.is_none()
    }

    pub(in crate::store::sql::engine) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Waits for the pending requests and closes the file.
    pub(in crate::store::sql) async fn close(&self) -> Result<(), SqlStoreError> {
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        self.writer.close().await
    }

    pub(in crate::store::sql::engine) async fn flush(&self) -> Result<(), SqlStoreError> {
        self.writer.flush().await
    }

    fn counted<T>(&self, outcome: Result<T, SqlStoreError>) -> Result<T, SqlStoreError> {
        if let Err(error) = &outcome
            && error.meaning() != Meaning::Duplicate
        {
            self.counters.failed.add(1);
        }
        outcome
    }
}
