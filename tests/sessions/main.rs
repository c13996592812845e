//! Sessions outside a request: each method, an owner's sessions, leases, and revocation during requests.
#![allow(clippy::unwrap_used, reason = "the parts of a test")]

#[path = "../support/memcached.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod memcached;

mod dictionary;
mod entries;
mod leases;
mod limit;
mod owners;
mod races;
mod support;
mod upkeep;
