//! The memcached store, against real memcached processes.
#![cfg(unix)]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::unwrap_used, reason = "a test ends where something fails, also in its helpers")]
#![allow(clippy::print_stderr, reason = "the chaos test says what it saw")]

#[path = "../support/runtimes.rs"]
mod other_runtimes;

#[path = "../support/sessions.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod sessions;

#[path = "../support/certificate.rs"]
mod certificate;

#[path = "../support/memcached.rs"]
mod server;

#[path = "../support/proxy.rs"]
#[allow(dead_code, reason = "shared with the tests of another store")]
mod proxy;

mod basics;
mod cancelled;
mod chaos;
mod eviction;
mod faults;
mod ketama;
mod kit;
mod processes;
mod restarts;
mod runtimes;
mod servers;
mod support;
mod tls;
