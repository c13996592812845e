//! Interleavings of requests: random ones over every store, and all of small models.
//!
//! Requests run through a real layer, in one thread. Each store call stops at a gate before it is made (in the random
//! schedules also after it was made), and the test decides which call continues and which answer is lost. A schedule is
//! therefore a list of decisions: `random` draws them from a seed, and the models try all of them.
//!
//! `SCHEDULES=100000 cargo test --release --all-features --test schedules random` runs that many schedules over each
//! kind of store. A failing one names its seed. `SCHEDULE_SEED=4711` runs that schedule alone, and with `--nocapture`
//! prints its trace even if it passes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::print_stderr, reason = "a schedule that is run alone says what it did")]

#[path = "../support/memcached.rs"]
#[allow(dead_code, reason = "shared with the memcached store's tests")]
mod memcached;

#[cfg(feature = "redis")]
#[path = "../support/redis.rs"]
mod redis;

#[cfg(feature = "redis")]
#[path = "../support/certificate.rs"]
mod certificate;

mod dice;
mod gate;
mod models;
mod operation;
mod random;
mod schedule;
mod search;
mod site;
mod stores;
mod watch;
mod world;
