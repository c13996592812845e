//! The memcached store, against real memcached processes.
#![cfg(unix)]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]

#[path = "../support/memcached.rs"]
mod server;

#[path = "../support/proxy.rs"]
mod proxy;

mod basics;
mod cancelled;
mod chaos;
mod faults;
mod ketama;
mod kit;
mod processes;
mod servers;
mod support;
mod tls;
