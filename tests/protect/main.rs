//! Sealed records and the write-through cache: the conformance kit over both in either order, and their further
//! guarantees.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "the parts of a test")]

#[cfg(unix)]
#[path = "../support/memcached.rs"]
#[allow(dead_code, reason = "shared with the memcached store's tests")]
mod server;

mod events;
mod kit;
mod remote;
mod rotation;
mod sealed;
