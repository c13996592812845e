//! The demo as a real process over real HTTP.
//!
//! - `process`, `browser`, `raw`: the demo as a process, a client with a cookie jar, and bytes on a socket.
//! - `pages`, `shop`, `session`, `entries`, `devices`, `figures`, `errors`: each row of its table.
//! - `parallel`, `overtaken`, `gone`: concurrent requests, and clients that disconnect.
//! - `cookies`, `lifetimes`, `origins`, `stores`, `garbage`, `ending`: behaviour common to all of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod browser;
#[cfg(all(unix, feature = "redis"))]
#[path = "../support/certificate.rs"]
#[allow(unreachable_pub, reason = "shared with other tests")]
mod certificate;
mod cookies;
mod devices;
mod ending;
mod entries;
mod errors;
mod figures;
mod garbage;
mod gone;
mod lifetimes;
#[cfg(unix)]
#[path = "../support/memcached.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod memcached;
mod origins;
mod overtaken;
mod pages;
mod parallel;
mod process;
mod raw;
#[cfg(all(unix, feature = "redis"))]
#[path = "../support/redis.rs"]
#[allow(unreachable_pub, reason = "shared with other tests")]
mod redis;
mod session;
mod shop;
mod stores;
