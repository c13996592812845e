//! Real PostgreSQL, MariaDB and PgBouncer processes, started by the tests and ended with them.
//!
//! Initializing a server takes seconds. So [`Server::shared`] is one server of each product that all tests of a process
//! share, each in its own database. A test that kills, stops or fills its server starts its own with [`Server::start`].
//!
//! PostgreSQL and PgBouncer refuse to run as root. So if the tests run as root, the servers run as the user `nobody`,
//! in folders that it owns. Otherwise they run as the user of the tests.
//!
//! Every server is ended and its folder removed, even if the test's process is killed: see [`folder`](self::folder).

#![allow(dead_code, unused_imports, reason = "each test uses some of the helpers")]

#[path = "sql/bouncer.rs"]
mod bouncer;
#[path = "sql/database.rs"]
mod database;
#[path = "sql/folder.rs"]
mod folder;
#[path = "sql/process.rs"]
mod process;
#[path = "sql/programs.rs"]
mod programs;
#[path = "process.rs"]
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "each kind of server uses some of it, and a test can use several kinds"
)]
mod shared;

pub use self::{
    bouncer::Bouncer,
    database::{PASSWORD, Product, Server, Setup, fresh_name},
    process::{PATIENCE, signal, wait_until},
};
