//! Sessions as a client sees them: an axum router behind the layer, called as a service, over a memory store whose
//! faults, pauses and calls the test controls.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, reason = "the parts of a test")]

mod cookies;
mod ending;
mod failures;
mod lifetime;
mod limit;
mod merging;
mod middleware;
mod promises;

mod review;
mod security;

mod support;
