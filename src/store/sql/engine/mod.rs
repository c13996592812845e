//! What carries out statements: a pool of sqlx for the databases with a server, threads of our own for SQLite.
//!
//! **A dropped future never interrupts a statement.** Each request to a server runs in a task of the caller's runtime, and
//! the caller only waits for it. sqlx is not safe to interrupt everywhere: in sqlx-mysql 0.9.0 a connection that is
//! dropped while it prepares a statement takes the rest of that answer for the next query's, or waits for ever for an
//! answer to what was not sent.

mod answer;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod connections;
#[expect(clippy::module_inception, reason = "the file has the type `Engine`")]
mod engine;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod pooled;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub(super) use self::mysql::MySqlDriver;
#[cfg(feature = "postgres")]
pub(super) use self::postgres::PostgresDriver;
#[cfg(feature = "sqlite")]
pub(super) use self::sqlite::{Place, SqliteEngine, SqliteSettings};
pub(super) use self::{answer::Answer, engine::Engine};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use self::{
    connections::Connections,
    pooled::{PoolSettings, Pooled, Source},
};
