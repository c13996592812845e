//! Runs the kit with this crate's own stores, and with stores that are broken on purpose.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../support/forward.rs"]
mod forward;

mod broken;
mod coverage;
mod defects;
mod faults;
mod forwarding;
mod reference;
mod stores;
