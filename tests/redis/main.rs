//! The Redis store, against real Redis and Valkey processes.
#![cfg(unix)]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::unwrap_used, reason = "a test ends where something fails, also in its helpers")]

#[path = "../support/certificate.rs"]
mod certificate;

#[path = "../support/proxy.rs"]
#[allow(dead_code, reason = "shared with the tests of another store")]
mod proxy;

#[path = "../support/redis.rs"]
mod server;

mod basics;
mod cancelled;
mod cluster;
mod greetings;
mod kit;
mod lost;
mod refusals;
mod round_trips;
mod sentinel;
mod servers;
mod support;
mod tls;
mod tracking;
