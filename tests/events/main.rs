//! Observability: observers, `tracing` and metrics, and never a token in any of them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "../support/certificate.rs"]
#[allow(dead_code, unreachable_pub, reason = "used by the servers of other tests")]
mod certificate;
#[path = "../support/memcached.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod memcached;
#[path = "../support/redis.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod redis;

mod crowded;
mod documented;
mod kinds;
mod metrics;
mod panics;
mod secrets;
mod stores;
mod support;
mod visit;
