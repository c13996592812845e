//! The SQL store, against real database servers.
#![cfg(unix)]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::unwrap_used, reason = "a test ends where something fails, also in its helpers")]

#[path = "../support/sql.rs"]
mod server;

mod servers;
