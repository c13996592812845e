//! Helpers for these tests.

use std::time::{Duration, SystemTime};
use std::{path::PathBuf, sync::Arc};

use session_layer::{
    DynStore, Lifetime, SessionId, SessionStore, SqlStore, connect,
    id::{SessionToken, TokenCheck},
    record::{Entries, Epoch, Owner, Record},
    store::{Create, SqlStoreBuilder, Stored, Update, Usage, Version},
};
use sqlx::{
    mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use crate::server::{Product, Server, fresh_name};

/// More time than a debug build needs on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A database of one of the products.
#[derive(Clone)]
pub enum Database {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(PathBuf),
    Memory,
}

impl Database {
    /// A fresh database on the shared server, with a pool of this number of connections.
    pub fn postgres(connections: u32) -> Self {
        let server = Server::shared(Product::Postgres);
        Self::postgres_at(&server.url(&server.database()), connections)
    }

    pub fn postgres_at(url: &str, connections: u32) -> Self {
        // PgBouncer refuses this setting.
        let options = url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None);
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(LIMIT);
        Self::Postgres(pool.connect_lazy_with(options))
    }

    pub fn mysql(connections: u32) -> Self {
        let server = Server::shared(Product::MariaDb);
        Self::mysql_at(&server.url(&server.database()), connections)
    }

    pub fn mysql_at(url: &str, connections: u32) -> Self {
        let options: MySqlConnectOptions = url.parse().unwrap();
        let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(LIMIT);
        Self::MySql(pool.connect_lazy_with(options))
    }

    /// The builder of a store over it, without the sweeping task.
    pub fn store(&self) -> SqlStoreBuilder {
        let builder = match self {
            Self::Postgres(pool) => SqlStore::postgres(pool.clone()),
            Self::MySql(pool) => SqlStore::mysql(pool.clone()),
            Self::Sqlite(path) => SqlStore::sqlite(path),
            Self::Memory => SqlStore::sqlite_in_memory(),
        };
        builder.request_timeout(LIMIT).sweep_interval(None)
    }

    /// Runs statements outside the store.
    pub async fn sql(&self, statements: impl Into<String>) {
        let statements = sqlx::AssertSqlSafe(statements.into());
        match self {
            Self::Postgres(pool) => drop(sqlx::raw_sql(statements).execute(pool).await.unwrap()),
            Self::MySql(pool) => drop(sqlx::raw_sql(statements).execute(pool).await.unwrap()),
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                connection.execute_batch(&statements.0).unwrap();
            }
            Self::Memory => panic!("nobody else sees it"),
        }
    }

    /// An id as an SQL literal.
    pub fn literal(&self, id: &SessionId) -> String {
        let digits: String = id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Postgres(_) => format!("'\\x{digits}'::bytea"),
            _ => format!("x'{digits}'"),
        }
    }
}

/// A table name that nothing else in this process uses.
pub fn table() -> String {
    fresh_name("sessions")
}

/// A fresh id.
pub fn id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// A session with this value under `n`.
pub fn record(n: &[u8]) -> Arc<Record> {
    let entries = Entries::from_sorted([("n", n)].into_iter()).expect("one entry");
    Arc::new(
        Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries),
    )
}

/// A session with an owner.
pub fn owned(owner: &str, epoch: u64) -> Arc<Record> {
    let owner = Owner::new(owner, Epoch::from_u64(epoch)).expect("a name");
    Arc::new((*record(b"1")).clone().with_owner(Some(owner)))
}

pub fn value(stored: &Stored) -> &[u8] {
    stored.record.entries().get("n").expect("the entry n")
}

pub fn usage(record: &Record) -> Usage {
    Usage::at(record, SystemTime::now())
}

pub async fn created(store: &impl SessionStore, id: &SessionId, record: &Arc<Record>) -> Version {
    match store.create(id, record, usage(record)).await.expect("created") {
        Create::Created(version) => version,
        Create::Exists => panic!("the id is taken"),
    }
}

/// A tombstone as a login leaves it.
pub fn tombstone() -> Arc<Record> {
    let check = TokenCheck::from_bytes([9; 16]);
    let now = session_layer::Clock::system().now();
    Arc::new(Record::tombstone(check, now, Duration::from_secs(60), None).unwrap())
}

/// Opens the store of a URL.
pub async fn open(url: &str) -> DynStore {
    connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A session with this number.
pub fn numbered(n: u64) -> Arc<Record> {
    record(&n.to_le_bytes())
}

pub fn number(stored: &Stored) -> u64 {
    u64::from_le_bytes(value(stored).try_into().expect("8 bytes"))
}

pub async fn loaded(store: &impl SessionStore, id: &SessionId) -> Stored {
    store.load(id).await.expect("the store answers").expect("it is there")
}

/// Increments the number, with as many attempts as it takes. Returns `false` if the session is gone.
pub async fn increment(store: &impl SessionStore, id: &SessionId) -> bool {
    loop {
        let Some(held) = store.load(id).await.expect("it answers") else { return false };
        let next = numbered(number(&held) + 1);
        match store.update(id, &next, &held.version, usage(&next)).await.expect("it answers") {
            Update::Updated(_) => return true,
            Update::Conflict(_) => {}
            Update::Gone => return false,
        }
    }
}

/// A random number.
pub fn random() -> u64 {
    let bytes = id().as_uuid().as_u64_pair();
    bytes.0 ^ bytes.1.rotate_left(17)
}
