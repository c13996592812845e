//! The settings of an SQL store.

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

/// The settings of a [`SqlStore`].
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
    /// Sessions in PostgreSQL, over the application's pool.
    #[cfg(feature = "postgres")]
    pub fn postgres(pool: sqlx::PgPool) -> SqlStoreBuilder {
        SqlStoreBuilder::new(Database::Postgres(Source::Given(pool)))
    }

    /// Sessions in PostgreSQL, over at most so many connections of the store's own.
    ///
    /// Each statement takes one round trip. A pool of sqlx takes a second one to ask a connection whether it is still
    /// there, and by default a third. The store asks only a connection that was idle for a second, or since another one
    /// was found dead. It closes connections that were idle for 10 minutes or are 30 minutes old, and all of them by
    /// its `close`.
    #[cfg(feature = "postgres")]
    pub fn postgres_with(options: sqlx::postgres::PgConnectOptions, connections: u32) -> SqlStoreBuilder {
        // A setting that PgBouncer refuses by default. No statement has such a number.
        let own = Connections::new(options.extra_float_digits(None), connections);
        SqlStoreBuilder::new(Database::Postgres(Source::Own(Arc::new(own))))
    }

    /// Sessions in MySQL or MariaDB, over the application's pool.
    #[cfg(feature = "mysql")]
    pub fn mysql(pool: sqlx::MySqlPool) -> SqlStoreBuilder {
        SqlStoreBuilder::new(Database::MySql(Source::Given(pool)))
    }

    /// Sessions in MySQL or MariaDB, over at most so many connections of the store's own; see `postgres_with`.
    #[cfg(feature = "mysql")]
    pub fn mysql_with(options: sqlx::mysql::MySqlConnectOptions, connections: u32) -> SqlStoreBuilder {
        let own = Connections::new(options, connections);
        SqlStoreBuilder::new(Database::MySql(Source::Own(Arc::new(own))))
    }

    /// Sessions in a file of SQLite, which can be the application's.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl AsRef<Path>) -> SqlStoreBuilder {
        let path = path.as_ref().to_owned();
        SqlStoreBuilder::new(Database::Sqlite(Place::File { path, create: false }))
    }

    /// Sessions in a database of SQLite in this process's memory, for tests: each store has its own.
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

    /// The table. Default `sessions`. Allowed are letters, digits and `_`, with no digit first; the name is quoted.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// The schema that the table is in, in MySQL the database. By default that of the connection: in PostgreSQL the first of
    /// its `search_path`. SQLite has none.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// How long a request to the database may take, with the wait for a connection of the pool, or for other processes
    /// that write to the file. Default: 5 seconds.
    ///
    /// An operation has one request, rarely two or three: see [round trips](SqlStore#round-trips). A request that was not
    /// sent in this time fails with `Timeout`. If it was sent, a read fails with `Timeout`, and a write whose effect
    /// can't be read back with `OutcomeUnknown`.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Whether each connection prepares a statement once and keeps it. Default: yes.
    ///
    /// Without, statements have their values in them as text. That takes the server longer, and is what a pooler in
    /// transaction mode needs that does not keep prepared statements itself, such as PgBouncer before 1.21.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub fn prepared_statements(mut self, on: bool) -> Self {
        self.prepared_statements = on;
        self
    }

    /// The largest record that is stored, in bytes. Default: 4 MiB. A larger one is refused with `TooLarge` before it is
    /// sent.
    ///
    /// MySQL takes no statement larger than its `max_allowed_packet`, 16 MiB in MariaDB: a rename has the record in it as
    /// text of two characters for each byte.
    pub fn record_limit(mut self, bytes: usize) -> Self {
        self.settings.record_limit = bytes;
        self
    }

    /// SQLite: what survives a power cut. By default [`Durability::Full`]: since all writes that wait are committed
    /// together, that costs less than elsewhere.
    #[cfg(feature = "sqlite")]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// SQLite: how many threads read. Default: 4; at least 1.
    #[cfg(feature = "sqlite")]
    pub fn readers(mut self, threads: usize) -> Self {
        self.readers = threads;
        self
    }

    /// How often a task removes expired sessions. Default: every 300 seconds. With `None` there is no task: call
    /// [`sweep`](crate::store::Listing::sweep), or let the database do it (see [`SqlStore`]). An expired session is absent
    /// in any case.
    ///
    /// The task runs in the runtime that opened the store. If that runtime has ended, the next call restarts the task in
    /// its own runtime. Several processes can sweep one table.
    pub fn sweep_interval(mut self, interval: Option<Duration>) -> Self {
        self.settings.sweep_interval = interval.map(|interval| interval.max(Duration::from_secs(1)));
        self
    }

    /// Where the time is read. By default from the system. The database's clock is never asked.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Notifies an observer of what the store does by itself: what a sweep has removed, how many sessions it leaves, and
    /// rows that hold no record. Called again, it adds one. Default: none.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// The SQL that creates the table and its indexes, for those who manage their schema themselves.
    ///
    /// # Errors
    ///
    /// If the name of the table or the schema is not allowed.
    pub fn schema_sql(&self) -> Result<String, SqlStoreError> {
        Ok(self.checked()?.schema())
    }

    /// Creates the table and its indexes where they are missing. Several processes can do it at once.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn migrate(self) -> Result<(), SqlStoreError> {
        let table = self.checked()?;
        let engine = self.creating().engine().await?;
        migrate(&engine, &table).await?;
        match engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(engine) => engine.close().await,
            // A clone of this builder can open the store over the same pool.
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => Ok(()),
        }
    }

    /// Creates the table where it is missing, SQLite's file as well, and opens the store.
    ///
    /// # Errors
    ///
    /// If a setting is wrong, the database can't be reached or refuses, or the table is another one and lacks a column.
    pub async fn create(self) -> Result<SqlStore, SqlStoreError> {
        self.creating().build(true).await
    }

    /// Opens the store, whose table must be there.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), or if the table is missing.
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
