//! The SQL store, against real servers and real files.
#![cfg(all(unix, feature = "postgres", feature = "mysql", feature = "sqlite"))]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::unwrap_used, reason = "a test ends where something fails, also in its helpers")]

#[path = "../support/sql.rs"]
mod server;

mod kit;
mod lost;
mod support;
