//! Executes statements: over a pool of sqlx for database servers, on the store's own threads for SQLite.
//!
//! **A dropped future never interrupts a statement.** Each request to a server runs in a task of the caller's runtime,
//! and the caller only waits for it. sqlx can't be interrupted safely everywhere. In sqlx-mysql 0.9.0, if a future is
//! dropped while it prepares a statement, the connection takes the rest of that answer for the answer to the next
//! query, or waits forever for an answer to a request that was never sent.

mod answer;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod connections;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod driver;
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
