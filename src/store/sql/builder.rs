//! Configures and opens an SQL store.

#[cfg(feature = "sqlite")]
use std::path::Path;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use std::sync::Arc;
use std::{fmt, time::Duration};

#[cfg(feature = "mysql")]
use super::engine::MySqlDriver;
#[cfg(feature = "postgres")]
use super::engine::PostgresDriver;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::engine::{Connections, PoolSettings, Pooled, Source};
#[cfg(feature = "sqlite")]
use super::engine::{Place, SqliteEngine, SqliteSettings};
use super::{
    dialect::{self, Dialect},
    engine::Engine,
    error::SqlStoreError,
    row::Row,
    schema::Table,
    statements::Statements,
    store::{Settings, SqlStore},
};
#[cfg(feature = "sqlite")]
use crate::store::durability::Durability;
use crate::{
    clock::Clock,
    events::{Observer, Observers},
};

/// Configures and opens a [`SqlStore`].
///
/// ```no_run
/// # #[cfg(feature = "sqlite")]
/// # async fn example() -> Result<(), session_layer::store::SqlStoreError> {
/// use session_layer::SqlStore;
///
/// let store = SqlStore::sqlite("/var/lib/shop/shop.db").table("shop_sessions").create().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it is opened"]
pub struct SqlStoreBuilder {
    database: Database,
    table: String,
    schema: Option<String>,
    request_timeout: Duration,
    #[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, reason = "of a server"))]
    prepared_statements: bool,
    #[cfg(feature = "sqlite")]
    durability: Durability,
    #[cfg(feature = "sqlite")]
    readers: usize,
    settings: Settings,
    observers: Observers,
}

#[derive(Clone)]
enum Database {
    #[cfg(feature = "postgres")]
    Postgres(Source<PostgresDriver>),
    #[cfg(feature = "mysql")]
    MySql(Source<MySqlDriver>),
    #[cfg(feature = "sqlite")]
    Sqlite(Place),
}

impl Database {
    fn dialect(&self) -> &'static Dialect {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => &dialect::POSTGRES,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => &dialect::MYSQL,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => &dialect::SQLITE,
        }
    }
}

impl SqlStore {
    /// Stores sessions in PostgreSQL, over the application's pool.
    #[cfg(feature = "postgres")]
    pub fn postgres(pool: sqlx::PgPool) -> SqlStoreBuilder {
        SqlStoreBuilder::new(Database::Postgres(Source::Given(pool)))
    }

    /// Stores sessions in PostgreSQL, over at most `connections` connections of the store's own, at least 1.
    ///
    /// Each statement takes one round trip. A pool of sqlx adds a second one to ping the connection when it is
    /// returned, and by default a third to ping it before it is used. The store pings a connection before it is used,
    /// but only if it has been idle for a second, or if another one was found dead since its last use.
    ///
    /// When a connection is returned, the store closes it if it is 30 minutes old, and closes another one that has been
    /// idle for 10 minutes. Its `close` closes all of them.
    #[cfg(feature = "postgres")]
    pub fn postgres_with(options: sqlx::postgres::PgConnectOptions, connections: u32) -> SqlStoreBuilder {
        // PgBouncer refuses this setting by default, and no statement has floating-point numbers.
        let own = Connections::new(options.extra_float_digits(None), connections);
        SqlStoreBuilder::new(Database::Postgres(Source::Own(Arc::new(own))))
    }

    /// Stores sessions in MySQL or MariaDB, over the application's pool.
    #[cfg(feature = "mysql")]
    pub fn mysql(pool: sqlx::MySqlPool) -> SqlStoreBuilder {
        SqlStoreBuilder::new(Database::MySql(Source::Given(pool)))
    }

    /// Stores sessions in MySQL or MariaDB, over at most `connections` connections of the store's own, at least 1.
    ///
    /// They are pinged and closed like those of `postgres_with`.
    #[cfg(feature = "mysql")]
    pub fn mysql_with(options: sqlx::mysql::MySqlConnectOptions, connections: u32) -> SqlStoreBuilder {
        let own = Connections::new(options, connections);
        SqlStoreBuilder::new(Database::MySql(Source::Own(Arc::new(own))))
    }

    /// Stores sessions in an SQLite file, which can be the application's.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl AsRef<Path>) -> SqlStoreBuilder {
        let path = path.as_ref().to_owned();
        SqlStoreBuilder::new(Database::Sqlite(Place::File { path, create: false }))
    }

    /// Stores sessions in an in-memory SQLite database, for tests. Each store that is opened has its own.
    #[cfg(feature = "sqlite")]
    pub fn sqlite_in_memory() -> SqlStoreBuilder {
        SqlStoreBuilder::new(Database::Sqlite(Place::Memory))
    }
}

impl SqlStoreBuilder {
    fn new(database: Database) -> Self {
        Self {
            database,
            table: "sessions".to_owned(),
            schema: None,
            request_timeout: Duration::from_secs(5),
            prepared_statements: true,
            #[cfg(feature = "sqlite")]
            durability: Durability::Full,
            #[cfg(feature = "sqlite")]
            readers: 4,
            settings: Settings {
                clock: Clock::system(),
                record_limit: 4 * 1_024 * 1_024,
                sweep_interval: Some(Duration::from_secs(300)),
            },
            observers: Observers::NONE,
        }
    }

    /// Sets the table's name. Default: `sessions`.
    ///
    /// A name consists of ASCII letters, digits and `_`, and doesn't start with a digit. It has at most 56 characters
    /// in PostgreSQL, 57 in MySQL and MariaDB, and 128 in SQLite. Statements quote it.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// Sets the schema that contains the table; in MySQL, the database. By default, the connection's: in PostgreSQL,
    /// the first in its `search_path`. The rules for names are those of [`table`](Self::table). With SQLite, which has
    /// no schemas, opening the store fails.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Sets the time limit of a request to the database. It includes the wait for a connection, or for other
    /// processes that write to the file. Default: 5 seconds.
    ///
    /// An operation makes one request, rarely two or three: see [round trips](SqlStore#round-trips). If a request was
    /// not sent in this time, the operation fails with `Timeout`. If it was sent, a read fails with `Timeout`, and a
    /// write with `OutcomeUnknown` unless its effect can be read back.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Sets whether each connection prepares a statement once and keeps it. Default: `true`.
    ///
    /// With `false`, statements contain their values as text, which takes the server longer. A pooler in transaction
    /// mode needs this if it doesn't keep prepared statements itself, like PgBouncer before 1.21.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub fn prepared_statements(mut self, on: bool) -> Self {
        self.prepared_statements = on;
        self
    }

    /// Sets the largest record, in bytes. Default: 4 MiB. A larger one is refused with `TooLarge` before it is sent.
    ///
    /// MySQL and MariaDB refuse statements larger than `max_allowed_packet`; MariaDB's default is 16 MiB. A rename
    /// contains the record as text, two characters for each byte.
    pub fn record_limit(mut self, bytes: usize) -> Self {
        self.settings.record_limit = bytes;
        self
    }

    /// SQLite: sets what survives a power cut. Default: [`Durability::Full`], which costs less than elsewhere, since
    /// all waiting writes are committed together.
    #[cfg(feature = "sqlite")]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// SQLite: sets the number of threads that read. Default: 4; at least 1.
    #[cfg(feature = "sqlite")]
    pub fn readers(mut self, threads: usize) -> Self {
        self.readers = threads;
        self
    }

    /// Sets how often a task removes expired sessions. Default: every 300 seconds; at least 1 second.
    ///
    /// With `None`, there is no task: call [`sweep`](crate::store::Listing::sweep), or let the database remove them
    /// (see [`SqlStore`](SqlStore#sweeping)). Expired sessions are absent in any case.
    ///
    /// The task runs in the runtime that opened the store. If that runtime ends, the next call restarts the task in the
    /// caller's runtime. Several processes can sweep one table.
    pub fn sweep_interval(mut self, interval: Option<Duration>) -> Self {
        self.settings.sweep_interval = interval.map(|interval| interval.max(Duration::from_secs(1)));
        self
    }

    /// Sets the clock. Default: the system's. The database's clock is never used.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Adds an observer of the store's own events: expired sessions that a sweep removed, the number that remain, and
    /// rows whose record can't be read. Each call adds one. Default: none.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Returns the SQL that creates the table and its indexes, for applications that manage their schema themselves.
    ///
    /// # Errors
    ///
    /// If the name of the table or of the schema is not allowed.
    pub fn schema_sql(&self) -> Result<String, SqlStoreError> {
        Ok(self.checked()?.schema())
    }

    /// Creates the table and its indexes if they are missing; for SQLite, its file as well. Several processes can do
    /// this at once.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create).
    pub async fn migrate(self) -> Result<(), SqlStoreError> {
        let table = self.checked()?;
        let engine = self.creating().engine().await?;
        migrate(&engine, &table).await?;
        match engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(engine) => engine.close().await,
            // The connections stay open: a clone of this builder can open the store over them.
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => Ok(()),
        }
    }

    /// Creates the table if it is missing, for SQLite its file as well, and opens the store.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, if the database can't be reached or refuses a statement, or if a table of this name
    /// exists and lacks a column.
    pub async fn create(self) -> Result<SqlStore, SqlStoreError> {
        self.creating().build(true).await
    }

    /// Opens the store. Its table must exist.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), or if the table is missing.
    pub async fn open(self) -> Result<SqlStore, SqlStoreError> {
        self.build(false).await
    }

    #[cfg_attr(not(feature = "sqlite"), allow(unused_mut, reason = "only a file can be created"))]
    fn creating(mut self) -> Self {
        #[cfg(feature = "sqlite")]
        if let Database::Sqlite(Place::File { create, .. }) = &mut self.database {
            *create = true;
        }
        self
    }

    async fn build(self, create: bool) -> Result<SqlStore, SqlStoreError> {
        let table = self.checked()?;
        let engine = self.engine().await?;
        if create {
            migrate(&engine, &table).await?;
        }
        let rows = engine.run(table.columns()).await?;
        let text = |row: &Row| row.bytes(0).ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let columns: Vec<_> = rows.iter().filter_map(text).collect();
        table.check(&columns)?;
        let statements = Statements::new(self.database.dialect(), &table);
        tracing::debug!(target: super::events::TARGET, table = statements.table, "opened");
        Ok(SqlStore::new(engine, statements, self.settings, self.observers))
    }

    fn checked(&self) -> Result<Table, SqlStoreError> {
        let dialect = self.database.dialect();
        #[cfg(feature = "sqlite")]
        if self.schema.is_some() && matches!(self.database, Database::Sqlite(_)) {
            return Err(SqlStoreError::setup(
                "the SQL store's setting `schema` is for PostgreSQL and MySQL: SQLite has none",
            ));
        }
        Table::new(dialect, self.schema.as_deref(), &self.table)
    }

    async fn engine(&self) -> Result<Engine, SqlStoreError> {
        let limit = self.request_timeout;
        #[cfg(any(feature = "postgres", feature = "mysql"))]
        let settings = PoolSettings { limit, prepared: self.prepared_statements };
        Ok(match &self.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(source) => Engine::Postgres(Pooled::new(source.clone(), settings)),
            #[cfg(feature = "mysql")]
            Database::MySql(source) => Engine::MySql(Pooled::new(source.clone(), settings)),
            #[cfg(feature = "sqlite")]
            Database::Sqlite(place) => {
                let (place, durability, readers) = (place.clone(), self.durability, self.readers);
                Engine::Sqlite(SqliteEngine::open(SqliteSettings { place, durability, readers, limit }).await?)
            }
        })
    }
}

async fn migrate(engine: &Engine, table: &Table) -> Result<(), SqlStoreError> {
    engine.run(table.migration()).await.map(drop)
}

impl fmt::Debug for SqlStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStoreBuilder")
            .field("database", &self.database.dialect().product)
            .field("table", &self.table)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
