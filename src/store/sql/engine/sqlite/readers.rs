//! The threads that read.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::{execute, file};
use crate::store::{
    StoreErrorKind,
    sql::{
        error::{Meaning, SqlStoreError},
        row::Row,
        statement::Statement,
        value::Value,
    },
};

struct Read {
    statement: Arc<Statement>,
    values: Vec<Value>,
    answer: oneshot::Sender<Result<Vec<Row>, SqlStoreError>>,
}

pub(super) struct Readers {
    /// `None` after `close`.
    queue: Mutex<Option<mpsc::Sender<Read>>>,
    /// One for each thread, whose sender is dropped when the thread ends.
    ended: tokio::sync::Mutex<Vec<oneshot::Receiver<()>>>,
    limit: Duration,
}

impl Readers {
    pub(super) async fn open(path: &Path, count: usize, limit: Duration) -> Result<Self, SqlStoreError> {
        let (queue, reads) = mpsc::channel::<Read>();
        let reads = Arc::new(Mutex::new(reads));
        let mut ended = Vec::new();
        for number in 0..count.max(1) {
            let (opened, is_open) = oneshot::channel();
            let (ending, end) = oneshot::channel::<()>();
            let (path, reads) = (path.to_owned(), Arc::clone(&reads));
            let work = move || {
                let _ending = ending;
                match file::open_reading(&path, limit) {
                    Ok(connection) => {
                        // Fails if the caller of `open` was dropped.
                        let _ = opened.send(Ok(()));
                        read_all(&connection, &reads);
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            };
            spawn(format!("sessions-read-{number}"), work)?;
            is_open.await.map_err(|_| gone())??;
            ended.push(end);
        }
        Ok(Self { queue: Mutex::new(Some(queue)), ended: tokio::sync::Mutex::new(ended), limit })
    }

    pub(super) async fn read(&self, statement: Arc<Statement>, values: Vec<Value>) -> Result<Vec<Row>, SqlStoreError> {
        let (answer, answered) = oneshot::channel();
        {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = queue.as_ref().map(|queue| queue.send(Read { statement, values, answer }));
            if !matches!(sent, Some(Ok(()))) {
                return Err(closed());
            }
        }
        match timeout(self.limit, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(SqlStoreError::late(self.limit)),
        }
    }

    /// Ends the threads after the queued reads are answered.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut ended = self.ended.lock().await;
        while let Some(end) = ended.last_mut() {
            // The sender is dropped, not used: an error means that the thread has ended.
            let _ = end.await;
            ended.pop();
        }
    }
}

fn read_all(connection: &rusqlite::Connection, reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Read { statement, values, answer }) = next else { return };
        // The caller was dropped.
        if answer.is_closed() {
            continue;
        }
        let _ = answer.send(execute::rows(connection, &statement, &values));
    }
}

/// Starts a thread of the store.
pub(super) fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), SqlStoreError> {
    match thread::Builder::new().name(name).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(SqlStoreError::setup(format!("no thread can be started: {error}")).because(error)),
    }
}

pub(super) fn closed() -> SqlStoreError {
    SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Unavailable), "the store is closed")
}

/// The error if a thread panicked: how far it got is unknown.
pub(super) fn gone() -> SqlStoreError {
    SqlStoreError::new(Meaning::Unanswered(StoreErrorKind::Unavailable), "a thread of the store has ended")
}
