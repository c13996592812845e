//! Requests of one session run one after another (`SessionLayerBuilder::exclusive`).
//!
//! - `counts`: slow increments by plain `get` and `insert` all count.
//! - `waiting`: order and limits of waiting, and the answer when they are exceeded.
//! - `ending`: the end of a turn, and requests that outlast their lease.
//! - `sessions`: sessions that begin, change their token or end, stores that fail, nested layers.
//! - `schedules`: random mixtures of these.
//! - `processes`: several processes, some of which are killed.
#![allow(missing_docs, clippy::unwrap_used, reason = "the parts of a test")]

#[cfg(feature = "redis")]
#[path = "../support/certificate.rs"]
#[allow(unreachable_pub, reason = "shared with other tests")]
mod certificate;
#[path = "../support/forward.rs"]
mod forward;
#[path = "../support/memcached.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod memcached;
#[cfg(feature = "redis")]
#[path = "../support/redis.rs"]
#[allow(unreachable_pub, reason = "shared with other tests")]
mod redis;
#[path = "../http/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod site;

mod counts;
mod ending;
mod processes;
mod schedules;
mod sessions;
mod support;
mod waiting;
