//! The Redis store, on real Redis and Valkey processes.
#![cfg(unix)]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::unwrap_used, reason = "a test ends where something fails, also in its helpers")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the chaos tests say what they saw, and a child what it wrote"
)]

#[path = "../support/runtimes.rs"]
mod other_runtimes;

#[path = "../support/sessions.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod sessions;

#[path = "../support/certificate.rs"]
mod certificate;

#[path = "../support/client.rs"]
mod client;

#[path = "../support/load.rs"]
mod load;

#[path = "../support/proxy.rs"]
#[allow(dead_code, reason = "shared with the tests of another store")]
mod proxy;

#[path = "../support/redis.rs"]
mod server;

#[path = "../support/unruly.rs"]
mod unruly;

#[path = "../support/worker.rs"]
mod worker;

mod basics;
mod cancelled;
mod chaos;
mod cluster;
mod greetings;
mod kit;
mod lost;
mod own_writes;
mod processes;
mod refusals;
mod round_trips;
mod runtimes;
mod sentinel;
mod servers;
mod support;
mod tls;
mod tracking;
mod twice;
