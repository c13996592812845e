//! The store and the helpers that its operations share.

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
        background_tasks::{Running, Tasks},
        log_failed,
        released::Released,
    },
};

/// Stores sessions in a table of PostgreSQL, MySQL, MariaDB or SQLite, which any number of processes can share.
///
/// Clones share one store. [`SqlStoreBuilder`](super::SqlStoreBuilder) documents the settings.
///
/// It suits applications that already have a database: no other service has to run, and sessions are next to users.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use session_layer::{SessionStore, SqlStore, store::Listing};
///
/// // Also `SqlStore::postgres(pool)`, `SqlStore::mysql(pool)` and `SqlStore::sqlite(path)`.
/// let store = SqlStore::sqlite_in_memory().table("shop_sessions").create().await?;
/// assert_eq!(store.count().await?, 0);
/// store.close().await?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
///
/// # Engines
///
/// PostgreSQL, MySQL and MariaDB are accessed over sqlx 0.9, with the application's pool or with the store's own
/// connections. SQLite is accessed through rusqlite on the store's own threads. One of them writes, and **commits all
/// waiting writes in one transaction**, so that they share one sync; the others read.
///
/// This design was chosen for its speed. With updates of 300 bytes, `synchronous=FULL` and 32 callers on 2 cores, it
/// wrote 208,000 a second, against 16,400 to 23,700 over a pool of sqlx, and 45,300 over sqlx with writes grouped in
/// the same way. It read 181,000 a second, against 39,000.
///
/// An application can link another SQLite crate if both agree on `libsqlite3-sys`, since cargo links only one version
/// of it. The store accepts rusqlite 0.32 to 0.43, and cargo selects a version that fits; there is nothing to
/// configure. Each of these combinations was compiled with feature `sqlite`:
///
/// | the application has | cargo selects rusqlite | `libsqlite3-sys` |
/// |---|---|---|
/// | sqlx 0.8 with `sqlite` | 0.32.1 | 0.30.1 |
/// | sqlx 0.9 with `sqlite` | 0.39.0 | 0.37.0 |
/// | rusqlite 0.32 | 0.32.1 | 0.30.1 |
/// | rusqlite 0.37 | 0.37.0 | 0.35.0 |
/// | rusqlite 0.39 | 0.39.0 | 0.37.0 |
/// | rusqlite 0.43, or none | 0.43.0 | 0.40.0 |
///
/// Both releases of sqlx were also compiled with their PostgreSQL driver and all three features of the store. If your
/// lock file already has a newer rusqlite, run `cargo update -p rusqlite --precise` with the version from the table.
/// The application can have a pool over the same file; the store opens its own connections, since `SqlStore::sqlite`
/// takes a path.
///
/// The store is tested with PostgreSQL 15, MariaDB 10.11 and the SQLite version bundled with rusqlite. **MySQL itself
/// is not tested.** The statements use the dialect that MySQL and MariaDB share, without common table expressions,
/// `RETURNING` or an alias for the inserted row. They avoid the function `VALUES()`, which is deprecated since MySQL
/// 8.0.20. They rely on MySQL's documented counts of matched rows (`CLIENT_FOUND_ROWS`, which sqlx sets) and gap locks
/// at the level `SERIALIZABLE`. With `binlog_format=STATEMENT`, the statement of a rename is unsafe to replicate: use
/// `ROW` or `MIXED`, the defaults.
///
/// Times are stored as whole milliseconds since the Unix epoch, so none of sqlx's features for dates is needed.
///
/// # The table
///
/// [`create`](super::SqlStoreBuilder::create) and [`migrate`](super::SqlStoreBuilder::migrate) create it, even if
/// several processes start at once. If you manage your schema yourself, use the same SQL:
/// [`schema_sql`](super::SqlStoreBuilder::schema_sql) returns it for any name. If a column is missing, opening the
/// store fails with its name.
///
/// | column | contents |
/// |---|---|
/// | `id` | the session's id, 16 bytes; for an owner's epoch, the owner's id |
/// | `version` | 16 random bytes, generated for each write before it is sent |
/// | `record` | the record's bytes: [`Record::to_bytes`] |
/// | `expires_at`, `used_at` | sliding expiry and last use |
/// | `absolute_at`, `idle` | the absolute limit, and the idle limit as a duration |
/// | `sweep_at` | when a sweep examines the row: not later than `expires_at`, and not moved by touches |
/// | `kind` | 0 session, 1 tombstone, 2 epoch, 3 sealed session |
/// | `owner_id`, `owner` | of sessions with an owner: the hash of the name, and its bytes, compared byte for byte |
/// | `lease_holder`, `lease_until` | the holder of the lease, and its end |
///
/// No index covers a column that a touch or an update of a session changes. So in PostgreSQL, both are heap-only
/// updates if the page has room: the table's `fillfactor` keeps a fifth of each page free.
///
/// PostgreSQL:
///
/// ```sql
/// CREATE TABLE IF NOT EXISTS "sessions" (
///     id           bytea    NOT NULL PRIMARY KEY,
///     version      bytea    NOT NULL,
///     record       bytea    NOT NULL,
///     expires_at   bigint   NOT NULL,
///     used_at      bigint   NOT NULL,
///     absolute_at  bigint   NOT NULL,
///     idle         bigint   NOT NULL,
///     sweep_at     bigint   NOT NULL,
///     kind         smallint NOT NULL,
///     owner_id     bytea,
///     owner        bytea,
///     lease_holder bytea,
///     lease_until  bigint
/// ) WITH (fillfactor = 80);
/// CREATE INDEX IF NOT EXISTS "sessions_owner" ON "sessions" (owner_id) WHERE owner_id IS NOT NULL;
/// CREATE INDEX IF NOT EXISTS "sessions_sweep" ON "sessions" (sweep_at);
/// ```
///
/// MySQL and MariaDB:
///
/// ```sql
/// CREATE TABLE IF NOT EXISTS `sessions` (
///     id           binary(16)      NOT NULL PRIMARY KEY,
///     version      varbinary(31)   NOT NULL,
///     record       longblob        NOT NULL,
///     expires_at   bigint          NOT NULL,
///     used_at      bigint          NOT NULL,
///     absolute_at  bigint          NOT NULL,
///     idle         bigint          NOT NULL,
///     sweep_at     bigint          NOT NULL,
///     kind         smallint        NOT NULL,
///     owner_id     binary(16),
///     owner        varbinary(1024),
///     lease_holder binary(16),
///     lease_until  bigint,
///     INDEX `sessions_owner` (owner_id),
///     INDEX `sessions_sweep` (sweep_at)
/// ) ENGINE = InnoDB;
/// ```
///
/// SQLite:
///
/// ```sql
/// CREATE TABLE IF NOT EXISTS "sessions" (
///     id           BLOB    NOT NULL PRIMARY KEY,
///     version      BLOB    NOT NULL,
///     record       BLOB    NOT NULL,
///     expires_at   INTEGER NOT NULL,
///     used_at      INTEGER NOT NULL,
///     absolute_at  INTEGER NOT NULL,
///     idle         INTEGER NOT NULL,
///     sweep_at     INTEGER NOT NULL,
///     kind         INTEGER NOT NULL,
///     owner_id     BLOB,
///     owner        BLOB,
///     lease_holder BLOB,
///     lease_until  INTEGER
/// );
/// CREATE INDEX IF NOT EXISTS "sessions_owner" ON "sessions" (owner_id) WHERE owner_id IS NOT NULL;
/// CREATE INDEX IF NOT EXISTS "sessions_sweep" ON "sessions" (sweep_at);
/// ```
///
/// # Rights
///
/// Creating the table needs the right to create tables in its schema. Everything else needs these rights, with your
/// names for the table, the database and the user:
///
/// ```sql
/// GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO shop;      -- PostgreSQL; and USAGE on a schema of its own
/// GRANT SELECT, INSERT, UPDATE, DELETE ON shop.sessions TO shop; -- MySQL and MariaDB
/// ```
///
/// A new SQLite file gets mode 0600, and a new directory 0700; SQLite gives the `-wal` and `-shm` files the mode of the
/// database. If other users have rights to an existing file, a warning is logged.
///
/// # Whose clock
///
/// The application's. Every statement contains the time, and the database's clock is never used: it can be an hour off
/// without any effect. If the clocks of application servers differ, each ends a session by its own clock, earlier or
/// later by that difference. A lease ends by the clock of the process that requests it next. If a fast clock ends a
/// lease too early, its former holder can't commit, since taking a lease gives the record a new version.
///
/// # Round trips
///
/// | operation | PostgreSQL | MySQL, MariaDB |
/// |---|---|---|
/// | load, refresh, with the owner's epoch | 1 | 1 |
/// | create, update, touch, end, remove | 1 | 1 |
/// | a create whose id is taken or has expired | 1 | 2 |
/// | an update or end that meets another version, or no row | 2 | 2 |
/// | rename | 1 | 1 |
/// | an owner's epoch: read, ensured, renewed | 1 | 1 |
/// | a lease: taken, given back | 1 | 1; held by another: 2 |
/// | waiting for a lease that another process holds | 1 every 20 to 160 ms | the same |
/// | a write that was not answered | 1 more, if it could be sent | 1 more |
///
/// So an HTTP request that reads takes 1, one that writes 2, a logout 2, and a login 3. An application's pool adds its
/// own: sqlx pings a connection when it is returned and, by default, before it is used. One of the store's own
/// connections (`postgres_with`, `mysql_with`) is pinged only if it has been idle for a second, or if another one was
/// found dead since its last use.
///
/// # What each statement guarantees
///
/// A write is one statement that contains its conditions: the expected version, and that the row is not expired. Each
/// database locks the row that it writes, and evaluates the conditions on the row's newest committed state. So each
/// write is atomic for its row **at every isolation level**: the conformance kit passes at `READ COMMITTED` and
/// `SERIALIZABLE` in PostgreSQL, and at all four levels in MariaDB. At the stricter levels, the database may refuse a
/// statement because of another one (a serialization failure or a deadlock). Nothing was changed then, and the store
/// tries again, at most 30 times.
///
/// - *The reason why nothing was written* is read by a second statement, since this is rare. Versions are random, so
///   the expected version can't be stored again later: the row that is read is at least as new as the row that the
///   write met. In PostgreSQL, a rename reads it in the same statement, from the statement's snapshot. If the row still
///   has the expected version there, another write came between the snapshot and the lock, and the row is read again.
/// - *A rename* is one statement in PostgreSQL: it locks the old row, if that succeeds inserts the new row, and if that
///   succeeds writes the tombstone. Elsewhere it is one transaction, sent to MySQL in one request.
/// - *`clear`* also removes sessions that are being renamed. In PostgreSQL it locks the table (`SHARE ROW EXCLUSIVE`),
///   which waits for running writes, before it takes its snapshot. In MySQL it reads all rows at the level
///   `SERIALIZABLE`, which locks each row and each gap, so that no row is inserted until it ends. SQLite has one
///   writer.
/// - *`delete_idle` and sweeps* compare the last use or the expiry again in the statement that removes, on the newest
///   state. A row that a rename creates was just used, so it is never idle.
/// - *Revoking an owner* writes one row, the epoch, which each load reads in its own statement.
///
/// # Dropped futures and lost answers
///
/// A request runs in a task of the caller's runtime until it completes or reaches its time limit, even if the caller is
/// dropped. So no connection is left in the middle of a statement or a transaction. After the time limit, the
/// connection is closed. A connection of sqlx belongs to the runtime that created it: give each runtime its own pool or
/// store.
///
/// With SQLite, the request runs on a thread of the store. It is not started if its caller is dropped while it waits
/// for that thread.
///
/// A write that was sent but not answered is never sent again. Its row is read back: if it has the version that was
/// generated for the write, the write took effect. If it doesn't, that proves nothing, since the server may still be
/// executing the write; the error is then [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown). A read whose connection
/// failed is tried once more on another one.
///
/// | failure | error | advice |
/// |---|---|---|
/// | no connection free, or established, within the time limit | `Timeout` | |
/// | connection refused, too many connections, server starting, disk full, read-only | `Unavailable` | in the message |
/// | deadlock, serialization failure | none; `Unavailable` after 30 retries | |
/// | lock or statement timeout, `database is locked` | `Timeout` | |
/// | connection ended, server went down or failed over | `OutcomeUnknown` for a write, `Unavailable` for a read | |
/// | a missing table, column or right | `Other` | in the message |
///
/// # PgBouncer
///
/// In transaction mode, each statement can get a different connection to the server. Set
/// [`prepared_statements(false)`](super::SqlStoreBuilder::prepared_statements), or use PgBouncer 1.21 or later with
/// `max_prepared_statements`. PgBouncer also refuses a startup parameter of sqlx: call `extra_float_digits(None)` on
/// the application's connection options, or set `ignore_startup_parameters = extra_float_digits` in PgBouncer.
///
/// # Sweeping
///
/// Every operation treats expired rows as absent. A task removes them, 500 at a time, using the index on `sweep_at`;
/// any number of processes can run it. To let the database remove them, set
/// [`sweep_interval(None)`](super::SqlStoreBuilder::sweep_interval) and run this from time to time:
///
/// ```sql
/// -- PostgreSQL with pg_cron
/// SELECT cron.schedule('sessions', '*/5 * * * *',
///     'DELETE FROM sessions WHERE expires_at < extract(epoch FROM now()) * 1000');
/// -- MySQL and MariaDB, with event_scheduler=ON
/// CREATE EVENT sweep_sessions ON SCHEDULE EVERY 5 MINUTE
///     DO DELETE FROM sessions WHERE expires_at < UNIX_TIMESTAMP() * 1000 LIMIT 10000;
/// ```
///
/// These read the whole table. With the additional condition `sweep_at < …`, they use the index; rows that were touched
/// meanwhile are left to a later run.
///
#[doc = include_str!("sizes.md")]
///
/// # Events
///
/// The store's `tracing` events have the target `session_layer::store::sql`.
///
/// | level | event | fields |
/// |---|---|---|
/// | trace | load, refresh | `id`, `found` or `same` |
/// | debug | opened | `table` |
/// | debug | closed | |
/// | debug | created, updated, ended, renamed, touch, remove, lease asked for, lease given back | `id`, the outcome |
/// | debug | epoch renewed | `id` |
/// | debug | swept | `deleted`, `remaining` |
/// | info | not created, not updated, not ended, not renamed | `id`, the reason |
/// | info | cleared | `removed` |
/// | warn | failed (an operation) | `id`, `operation`, `error`, `cause` |
/// | warn | other users have rights to the database file | `path`, `mode` |
/// | error | failed: the stored bytes are no record | `id`, `operation`, `error`, `cause` |
#[derive(Clone)]
pub struct SqlStore {
    pub(super) inner: Arc<Inner>,
}

/// The state that clones share.
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) statements: Statements,
    pub(super) settings: Settings,
    pub(super) observers: Observers,
    pub(super) released: Released,
    tasks: Tasks,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) clock: Clock,
    /// The size limit of a record, in bytes.
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
        let (released, tasks) = (Released::default(), Tasks::default());
        let store = Self { inner: Arc::new(Inner { engine, statements, settings, observers, released, tasks }) };
        store.keep_swept();
        store
    }

    /// Returns counters of the store's requests since it was opened.
    #[must_use]
    pub fn statistics(&self) -> SqlStatistics {
        self.inner.engine.counters().get()
    }

    /// Returns the engine, after restarting the sweeping task if its runtime has ended.
    pub(super) fn engine(&self) -> &Engine {
        self.keep_swept();
        &self.inner.engine
    }

    pub(super) fn statements(&self) -> &Statements {
        &self.inner.statements
    }

    fn keep_swept(&self) {
        let Inner { tasks, settings: Settings { sweep_interval: Some(interval), .. }, .. } = &*self.inner else {
            return;
        };
        tasks.start(|runtime, running| {
            let sweeping = sweep_often(Arc::downgrade(&self.inner), *interval, running.clone());
            vec![runtime.spawn(sweeping).abort_handle()]
        });
    }

    pub(super) fn stop_tasks(&self) {
        self.inner.tasks.stop();
    }

    /// The store clock's time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        clock::to_millis(self.inner.settings.clock.now())
    }

    /// Adds the operation and the session to an error, and logs it. Reports a damaged record to the observers.
    pub(super) fn failed(&self, operation: &'static str, id: Option<&SessionId>, error: StoreError) -> StoreError {
        let error = error.during(operation);
        let error = match id {
            Some(id) => error.on(id),
            None => error,
        };
        log_failed!(TARGET, operation, &error);
        if let (StoreErrorKind::Corrupt, Some(id)) = (error.kind(), error.id()) {
            self.inner.observers.notify(EventKind::NotOpened { id, operation, error: &error });
        }
        error
    }

    /// Generates a version; returns it with the arguments 1 to 10 of a row.
    pub(super) fn row(
        &self,
        id: &SessionId,
        record: &Record,
        usage: Usage,
    ) -> Result<(Vec<Value>, Version), StoreError> {
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
            owner.map_or(Value::NoBytes, |owner| Value::from(&SessionId::for_epoch(owner).as_bytes()[..])),
            owner.map_or(Value::NoBytes, |owner| Value::from(owner.as_bytes())),
        ];
        Ok((values, version))
    }

    /// Reads a row after an unanswered write, even if it is expired. `None` if it is absent.
    ///
    /// The write may still be running: its connection is lost, but the server may not have noticed yet. So only a trace
    /// of the write itself proves anything.
    pub(super) async fn look(&self, id: &SessionId) -> Result<Option<Looked>, SqlStoreError> {
        self.inner.engine.counters().read_back.add(1);
        let values = vec![Value::from(&id.as_bytes()[..])];
        let rows = self.engine().read(&self.statements().look, values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let lease = if row.is_null(3) || row.is_null(4) { None } else { Some((row.bytes(3)?.to_vec(), row.int(4)?)) };
        Ok(Some(Looked { version: row.version(0)?, expires: row.int(1)?, used: row.int(2)?, lease }))
    }

    /// Reads back an unanswered write. `Ok` if `is_done` finds its effect in the row; otherwise the write's error.
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

    /// Runs a write, and its read if no row was written.
    pub(super) async fn write(
        &self,
        write: &super::statements::Write,
        values: Vec<Value>,
    ) -> Result<Answer, SqlStoreError> {
        self.engine().write(write, values).await
    }
}

/// The state of a row, expired or not.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) version: Version,
    pub(super) expires: u64,
    pub(super) used: u64,
    /// The lease's holder and its end.
    pub(super) lease: Option<(Vec<u8>, u64)>,
}

/// The number of a record's kind, as in the record's bytes.
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

/// Sweeps at an interval until the store is dropped.
async fn sweep_often(store: Weak<Inner>, interval: Duration, _running: Running) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(inner) = store.upgrade() else { return };
        // An error has been logged already, and the next sweep tries again.
        let _ = SqlStore { inner }.sweep_by_itself().await;
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &self.inner.statements.dialect.product)
            .field("table", &self.inner.statements.table)
            .finish_non_exhaustive()
    }
}
