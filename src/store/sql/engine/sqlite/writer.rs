//! The thread that writes.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use rusqlite::Connection;
use tokio::{sync::oneshot, time::timeout};

use super::{
    execute::failed,
    file,
    readers::{closed, gone, spawn},
    settings::SqliteSettings,
};
use crate::store::{
    StoreErrorKind,
    durability::Durability,
    sql::{
        error::{Meaning, SqlStoreError},
        statistics::Counters,
    },
};

/// The most writes in one transaction.
const MOST: usize = 256;

/// Sends the outcome to the caller once the transaction has ended; its argument is the outcome of the commit.
type Told = Box<dyn FnOnce(Result<(), SqlStoreError>) + Send>;

/// One write. Takes the connection within a transaction, or the error if the transaction could not be started.
type Work = Box<dyn FnOnce(Result<&Connection, SqlStoreError>) -> Told + Send>;

enum Job {
    Write {
        work: Work,
        ends: bool,
    },
    /// A read from an in-memory database, outside a transaction.
    Read(Box<dyn FnOnce(&Connection) + Send>),
    /// Copies the committed writes from the log into the file, and syncs both.
    Flush(oneshot::Sender<Result<(), SqlStoreError>>),
}

pub(super) struct Writer {
    /// `None` after `close`.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
    limit: Duration,
}

impl Writer {
    pub(super) async fn open(settings: &SqliteSettings, counters: Arc<Counters>) -> Result<Self, SqlStoreError> {
        let (queue, jobs) = mpsc::channel();
        let (opened, is_open) = oneshot::channel();
        let (ending, ended) = oneshot::channel::<()>();
        let SqliteSettings { place, durability, limit, .. } = settings.clone();
        let work = move || {
            let _ending = ending;
            match file::open(&place, durability, limit) {
                Ok(connection) => {
                    let _ = opened.send(Ok(()));
                    let next = None;
                    Transactions { connection, durability, syncs_ends: true, counters, jobs, next }.run();
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        };
        spawn("sessions-write".to_owned(), work)?;
        is_open.await.map_err(|_| gone())??;
        Ok(Self { queue: Mutex::new(Some(queue)), ended: tokio::sync::Mutex::new(Some(ended)), limit })
    }

    /// Runs work within a transaction; returns its result once the transaction is committed.
    ///
    /// Work that is still queued when its time limit passes, or when its caller has been dropped, is not started.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        ends: bool,
        work: impl FnOnce(&Connection) -> Result<T, SqlStoreError> + Send + 'static,
    ) -> Result<T, SqlStoreError> {
        let (answer, answered) = oneshot::channel();
        let taken = Arc::new(AtomicBool::new(false));
        let is_taken = Arc::clone(&taken);
        let work: Work = Box::new(move |connection| {
            if is_taken.swap(true, Ordering::AcqRel) || answer.is_closed() {
                return Box::new(|_| ());
            }
            let outcome = connection.and_then(work);
            Box::new(move |committed| drop(answer.send(outcome.and_then(|done| committed.map(|()| done)))))
        });
        self.send(Job::Write { work, ends })?;
        let mut answered = answered;
        match timeout(self.limit, &mut answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(gone()),
            Err(_) if taken.swap(true, Ordering::AcqRel) => Err(SqlStoreError::late(self.limit)),
            Err(_) => {
                let message = format!("the database was busy for {:?}", self.limit);
                Err(SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Timeout), message))
            }
        }
    }

    /// Reads over the writer's connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqlStoreError> + Send + 'static,
    ) -> Result<T, SqlStoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Read(Box::new(move |connection| drop(answer.send(work(connection))))))?;
        match timeout(self.limit, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(SqlStoreError::late(self.limit)),
        }
    }

    pub(super) async fn flush(&self) -> Result<(), SqlStoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Flush(answer))?;
        answered.await.map_err(|_| gone())?
    }

    /// Ends the thread after the queued jobs are done.
    pub(super) async fn close(&self) -> Result<(), SqlStoreError> {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut ended = self.ended.lock().await;
        if let Some(end) = ended.as_mut() {
            // The sender is dropped, not used: an error means that the thread has ended.
            let _ = end.await;
        }
        *ended = None;
        Ok(())
    }

    fn send(&self, job: Job) -> Result<(), SqlStoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref().map(|queue| queue.send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(gone()),
            None => Err(closed()),
        }
    }
}

struct Transactions {
    connection: Connection,
    durability: Durability,
    /// Whether `synchronous` is currently set as for a commit that ends sessions.
    syncs_ends: bool,
    counters: Arc<Counters>,
    jobs: mpsc::Receiver<Job>,
    /// A job that was received but can't be part of the current transaction.
    next: Option<Job>,
}

impl Transactions {
    fn run(mut self) {
        while let Some(job) = self.next.take().or_else(|| self.jobs.recv().ok()) {
            match job {
                Job::Read(work) => work(&self.connection),
                Job::Flush(answer) => drop(answer.send(self.checkpoint())),
                Job::Write { work, ends } => self.transact(work, ends),
            }
        }
    }

    /// Runs this work and all waiting work in one transaction, and sends each caller its outcome.
    fn transact(&mut self, first: Work, ends: bool) {
        if let Err(error) = self.begin(ends) {
            first(Err(error))(Ok(()));
            return;
        }
        let (mut told, mut next) = (Vec::new(), Some(first));
        while let Some(work) = next.take() {
            told.push(work(Ok(&self.connection)));
            // After some errors, SQLite rolls back the whole transaction by itself.
            if self.connection.is_autocommit() {
                let message = "SQLite has undone the transaction, because of a write in it";
                let undone = || SqlStoreError::new(Meaning::Refused(StoreErrorKind::Unavailable), message);
                told.into_iter().for_each(|told| told(Err(undone())));
                return;
            }
            next = if told.len() < MOST { self.waiting(ends) } else { None };
        }
        match self.commit(told.len()) {
            Ok(()) => told.into_iter().for_each(|told| told(Ok(()))),
            Err(error) => {
                let (meaning, message) = (error.meaning(), error.to_string());
                told.into_iter().for_each(|told| told(Err(SqlStoreError::new(meaning, message.clone()))));
            }
        }
    }

    /// Returns the next waiting work if it can be part of this transaction. With [`Durability::Data`], work that ends
    /// sessions can't be part of a transaction that began without such work, since its commit isn't synced.
    fn waiting(&mut self, ends: bool) -> Option<Work> {
        match self.jobs.try_recv().ok()? {
            Job::Write { work, ends: more } if ends || !more || self.durability != Durability::Data => Some(work),
            other => {
                self.next = Some(other);
                None
            }
        }
    }

    fn begin(&mut self, ends: bool) -> Result<(), SqlStoreError> {
        let syncs_ends = ends || self.durability != Durability::Data;
        if self.syncs_ends != syncs_ends {
            file::set_synchronous(&self.connection, self.durability, ends)?;
            self.syncs_ends = syncs_ends;
        }
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)
    }

    fn commit(&self, writes: usize) -> Result<(), SqlStoreError> {
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => {
                self.counters.commits.add(1);
                self.counters.committed_writes.add(writes as u64);
                Ok(())
            }
            Err(error) => {
                let _ = self.connection.execute_batch("ROLLBACK");
                let is_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
                let error = failed(error);
                // If a sync fails, the commit may still be in the log and reappear after a crash.
                Err(if is_full { error } else { error.of_commit() })
            }
        }
    }

    fn checkpoint(&self) -> Result<(), SqlStoreError> {
        self.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).map_err(failed)
    }
}
