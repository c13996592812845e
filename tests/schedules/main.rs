//! Interleavings of requests: random ones over every store, and all of small models.
//!
//! Requests run through a real layer, in one thread. Each call of the store stops at a gate before it is made (in the random
//! schedules also after it was made), and the test decides which one goes on, and which answer is lost. So a schedule is a
//! list of decisions: `random` draws them from a seed, the models try all of them.
//!
//! `SCHEDULES=100000 cargo test --release --all-features --test schedules random` runs so many schedules over each kind of
//! store. One that fails names its seed; `SCHEDULE_SEED=4711` runs it alone, and `SCHEDULE_SEED` with `--nocapture` prints
//! its trace also if it passes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "the parts of a test")]
#![allow(clippy::print_stderr, reason = "a schedule that is run alone says what it did")]

#[path = "../support/memcached.rs"]
#[allow(dead_code, reason = "shared with the memcached store's tests")]
mod memcached;

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
