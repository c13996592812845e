//! The memcached store, against real memcached processes.
#![cfg(unix)]
#![allow(missing_docs, unreachable_pub, reason = "the parts of a test")]

#[path = "../support/memcached.rs"]
mod server;

mod basics;
mod support;
