//! The store, and what its operations share.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    engine::{Answer, Engine},
    error::SqlStoreError,
    events::TARGET,
    statements::Statements,
    statistics::SqlStatistics,
    value::Value,
};
use crate::{
    clock::{self, Clock},
    events::{EventKind, Observers},
    id::{EntropyError, SessionId},
    record::Record,
    store::{
        StoreError, StoreErrorKind, Usage, Version,
        tasks::{Running, Tasks},
    },
};

/// Sessions in a table of PostgreSQL, MySQL, MariaDB or SQLite. Clones share one store.
#[derive(Clone)]
pub struct SqlStore {
    pub(super) inner: Arc<Inner>,
}

/// What clones share.
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) statements: Statements,
    pub(super) settings: Settings,
    pub(super) observers: Observers,
    tasks: Tasks,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) clock: Clock,
    /// The largest record, in bytes.
    pub(super) record_limit: usize,
    pub(super) sweep_interval: Option<Duration>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl SqlStore {
    pub(super) fn new(engine: Engine, statements: Statements, settings: Settings, observers: Observers) -> Self {
        let observers = observers.of(statements.dialect.store);
        let store = Self { inner: Arc::new(Inner { engine, statements, settings, observers, tasks: Tasks::default() }) };
        store.keep_swept();
        store
    }

    /// What this store has done since it was opened.
    #[must_use]
    pub fn statistics(&self) -> SqlStatistics {
        self.inner.engine.counters().get()
    }

    /// The engine, after making sure that the task that sweeps runs.
    pub(super) fn engine(&self) -> &Engine {
        self.keep_swept();
        &self.inner.engine
    }

    pub(super) fn statements(&self) -> &Statements {
        &self.inner.statements
    }

    fn keep_swept(&self) {
        let Inner { tasks, settings: Settings { sweep_interval: Some(interval), .. }, .. } = &*self.inner else { return };
        tasks.start(|runtime, running| {
            let sweeping = sweep_often(Arc::downgrade(&self.inner), *interval, running.clone());
            vec![runtime.spawn(sweeping).abort_handle()]
        });
    }

    pub(super) fn stop_tasks(&self) {
        self.inner.tasks.stop();
    }

    /// The time by which everything is told.
    pub(super) fn now(&self) -> u64 {
        clock::to_millis(self.inner.settings.clock.now())
    }

    /// Names operation and session, and tells the log and the observers of what failed.
    pub(super) fn failed(&self, operation: &'static str, id: Option<&SessionId>, error: StoreError) -> StoreError {
        let error = error.during(operation);
        let error = match id {
            Some(id) => error.on(id),
            None => error,
        };
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let id = error.id();
        let shown = id.map(tracing::field::display);
        match error.kind() {
            StoreErrorKind::Corrupt => tracing::error!(target: TARGET, id = shown, operation, %error, cause, "failed"),
            _ => tracing::warn!(target: TARGET, id = shown, operation, %error, cause, "failed"),
        }
        if let (StoreErrorKind::Corrupt, Some(id)) = (error.kind(), id) {
            self.inner.observers.tell(EventKind::NotOpened { id, operation, error: &error });
        }
        error
    }

    /// The arguments of a row, from 1 to 10, for a version that is drawn for it.
    pub(super) fn row(&self, id: &SessionId, record: &Record, usage: Usage) -> Result<(Vec<Value>, Version), StoreError> {
        let size = record.encoded_len();
        let limit = self.inner.settings.record_limit;
        if size > limit {
            let message = format!("the record has {size} bytes, and the store's `record_limit` is {limit}");
            return Err(StoreError::new(StoreErrorKind::TooLarge).because(message));
        }
        let version = Version::random().map_err(no_randomness)?;
        let absolute = clock::to_millis(record.absolute_limit());
        let owner = record.owner().filter(|_| record.is_session()).map(|owner| &**owner.name());
        let values = vec![
            Value::from(&id.as_bytes()[..]),
            Value::from(version.as_bytes()),
            Value::Bytes(record.to_bytes()),
            Value::from(usage.expires_millis().min(absolute)),
            Value::from(usage.used_millis()),
            Value::from(absolute),
            Value::from(clock::duration_millis(record.lifetime().idle())),
            Value::Int(kind(record)),
            owner.map_or(Value::NoBytes, |owner| Value::from(&SessionId::of_owner(owner).as_bytes()[..])),
            owner.map_or(Value::NoBytes, |owner| Value::from(owner.as_bytes())),
        ];
        Ok((values, version))
    }

    /// Looks at a row after a write of it that was not answered. `None` if it is not there.
    ///
    /// The write may still be under way: its connection is lost, and the server may not know yet. So only what the write
    /// itself has left behind proves anything.
    pub(super) async fn look(&self, id: &SessionId) -> Result<Option<Looked>, SqlStoreError> {
        self.inner.engine.counters().read_back.add(1);
        let values = vec![Value::from(&id.as_bytes()[..])];
        let rows = self.engine().read(&self.statements().look, values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let lease = if row.is_null(3) || row.is_null(4) { None } else { Some((row.bytes(3)?.to_vec(), row.int(4)?)) };
        Ok(Some(Looked { version: row.version(0)?, expires: row.int(1)?, used: row.int(2)?, lease }))
    }

    /// Whether a write is stored that was sent and not answered, by what it has left behind; the error if that doesn't
    /// tell.
    pub(super) async fn settle(
        &self,
        id: &SessionId,
        error: SqlStoreError,
        is_done: impl FnOnce(&Looked) -> bool,
    ) -> Result<(), StoreError> {
        if error.is_unanswered()
            && let Ok(Some(looked)) = self.look(id).await
            && is_done(&looked)
        {
            return Ok(());
        }
        Err(error.of_write())
    }

    /// A write that does its work as soon as a row was written.
    pub(super) async fn write(
        &self,
        write: &super::statements::Write,
        values: Vec<Value>,
    ) -> Result<Answer, SqlStoreError> {
        self.engine().write(write, values).await
    }
}

/// What is in a row, whether it is expired or not.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) version: Version,
    pub(super) expires: u64,
    pub(super) used: u64,
    /// Its holder, and when it ends.
    pub(super) lease: Option<(Vec<u8>, u64)>,
}

/// The number of a record's kind, as in its bytes.
pub(super) fn kind(record: &Record) -> i64 {
    use crate::record::RecordKind::{Epoch, Sealed, Session, Tombstone};
    match record.kind() {
        Session => 0,
        Tombstone => 1,
        Epoch => 2,
        Sealed => 3,
    }
}

pub(super) fn no_randomness(error: EntropyError) -> StoreError {
    StoreError::new(StoreErrorKind::Other).because(error)
}

/// Sweeps from time to time, as long as the store is there.
async fn sweep_often(store: Weak<Inner>, interval: Duration, _running: Running) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(inner) = store.upgrade() else { return };
        // An error has its event already. The next sweep tries again.
        let _ = SqlStore { inner }.sweep_by_itself().await;
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &self.inner.statements.dialect.name)
            .field("table", &self.inner.statements.table)
            .finish_non_exhaustive()
    }
}
