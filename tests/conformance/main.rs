//! The kit over this crate's own stores, and over stores that are broken on purpose.
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
