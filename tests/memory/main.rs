//! The memory store's public behaviour: the conformance kit, bounds, leases, snapshots, tasks.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod bounds;
mod extremes;
mod full_disk;
mod kit;
mod leases;
mod owners;
mod snapshots;
mod store;
mod support;
mod tasks;
