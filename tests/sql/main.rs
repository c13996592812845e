//! Tests of the SQL store against real servers and files.
#![cfg(all(unix, feature = "postgres", feature = "mysql", feature = "sqlite"))]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::unwrap_used, reason = "a test ends where something fails, also in its helpers")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the chaos test says what it saw, and a child what it wrote"
)]

#[path = "../support/sessions.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod sessions;

#[path = "../support/client.rs"]
mod client;

#[path = "../support/load.rs"]
mod load;

#[path = "../support/sql.rs"]
mod server;

#[path = "../support/worker.rs"]
mod worker;

mod basics;
mod cancelled;
mod chaos;
mod full_disk;
mod kit;
mod lost;
mod over;
mod processes;
mod refused;
mod servers;
mod sqlite;
mod support;
