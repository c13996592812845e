//! SQLite, on threads of our own.
//!
//! - `settings`, `engine`: the settings, and the engine on these threads.
//! - `writer`: the thread that writes. It commits all writes that wait in one transaction, so that one sync serves them all.
//! - `readers`: the threads that read.
//! - `file`: the file's rights, and how a connection is set up.
//! - `execute`: statements on a connection, and what its errors mean.
//!
//! Measured before it was chosen (updates of 300 bytes in WAL mode with `synchronous=FULL`, 32 callers, 2 cores, a disk
//! that syncs in 40 µs): 16,400 a second over a pool of sqlx of one connection and 23,700 over one of ten, 45,300 with the
//! writes that wait in one transaction over sqlx, whose worker is asked for each statement by itself, and 208,000 here.
//! Reads: 39,000 over sqlx, 103,000 on one thread here and 181,000 on four.

mod engine;
mod execute;
mod file;
mod readers;
mod settings;
mod writer;

pub(in crate::store::sql) use self::{
    engine::SqliteEngine,
    settings::{Place, SqliteSettings},
};
