//! Observability: observers, `tracing` and metrics, and never a token in any of them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[cfg(feature = "redis")]
#[path = "../support/certificate.rs"]
#[allow(unreachable_pub, reason = "shared with other tests")]
mod certificate;
#[path = "../support/memcached.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod memcached;
#[cfg(feature = "redis")]
#[path = "../support/redis.rs"]
#[allow(unreachable_pub, reason = "shared with other tests")]
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
