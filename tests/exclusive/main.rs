//! Requests of one session run one after another (`SessionLayerBuilder::exclusive`).
//!
//! - `counts`: slow increments by plain `get` and `insert` all count.
//! - `waiting`: who waits, for how long, and what the others get.
//! - `ending`: how a turn ends, and what a request saves that overstays it.
//! - `sessions`: sessions that begin, change their token or end, stores that fail, layers that nest.
//! - `schedules`: random mixtures of all that.
//! - `processes`: the same over several processes, some of which are killed.
#![allow(missing_docs, clippy::unwrap_used, reason = "the parts of a test")]

#[path = "../support/memcached.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod memcached;
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
