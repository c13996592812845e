//! Sessions as a client sees them: an axum router behind the layer, called as a service, over a memory store whose
//! faults, pauses and calls the test controls.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs, reason = "the parts of a test")]

#[path = "../support/forward.rs"]
#[allow(unused_macro_rules, reason = "some stores replace more")]
mod forward;

#[path = "../support/memcached.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod memcached;

mod at_most_once;
mod at_once;
mod chains;
mod cookies;
mod debug;
mod draining;
mod ending;
mod errors;
mod failed_saves;
mod failures;
mod forwards;
mod keys;
mod late_logout;
mod leaving;
mod lifetime;
mod limit;
mod merging;
mod middleware;
mod nested_layers;
mod old_tokens;
mod overlap;
mod owner_of_session;
mod periodic;
mod promises;
mod reading;
mod renewal_races;
mod renewing;
mod round_trips;
mod save_if;
mod security;
mod simulated;
mod stores;
mod support;
mod touching;
mod tracked;
mod unanswered;
