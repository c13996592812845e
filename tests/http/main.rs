//! Sessions as a client sees them: an axum router behind the layer, called as a service, over a memory store whose
//! faults, pauses and calls the test controls.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, reason = "the parts of a test")]

#[path = "../support/memcached.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod memcached;

mod cookies;
mod ending;
mod failures;
mod forwards;
mod leaving;
mod lifetime;
mod limit;
mod merging;
mod middleware;
mod once;
mod overlap;
mod promises;
mod reading;
mod review;
mod round_trips;
mod saving;
mod security;
mod simulated;
mod stores;
mod support;
