//! Real Redis and Valkey processes, started by the tests and ended with them.
//!
//! Each server has a temporary folder with its data and a Unix socket. The helpers of a test talk through that socket, so
//! they work whatever the store's own connection goes through: a TCP port, TLS, a proxy or a limited user.

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
#[path = "process.rs"]
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "each kind of server uses some of it, and a test can use several kinds"
)]
mod shared;
#[path = "redis/single.rs"]
mod single;

pub use self::{
    cluster::{Cluster, slot_of},
    connection::Reply,
    monitor::Monitor,
    process::{signal, wait_until},
    program::Product,
    sentinels::{MASTER, Sentinels},
    single::Server,
};
