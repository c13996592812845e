//! Real Redis and Valkey processes, which tests start, and which end with the tests.
//!
//! Each server has a temporary folder with its data and a Unix socket. The test helpers use that socket, so they work
//! regardless of the store's own connection: a TCP port, TLS, a proxy or a limited user.

#![allow(dead_code, unused_imports, reason = "each test uses some of the helpers")]
#![allow(clippy::print_stderr, reason = "a test that fails shows what servers have logged")]

#[path = "redis/cluster.rs"]
mod cluster;
#[path = "redis/connection.rs"]
mod connection;
#[path = "redis/monitor.rs"]
mod monitor;
#[path = "redis/process.rs"]
mod process;
#[path = "redis/program.rs"]
mod program;
#[path = "redis/sentinels.rs"]
mod sentinels;
#[path = "redis/server.rs"]
#[allow(clippy::module_inception, reason = "the server, of those that the tests call `server`")]
mod server;

pub use self::{
    cluster::{Cluster, slot_of},
    connection::Reply,
    monitor::Monitor,
    process::{signal, wait_until},
    program::Product,
    sentinels::{MASTER, Sentinels},
    server::Server,
};
