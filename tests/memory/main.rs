//! The memory store as its users see it: the conformance kit, bounds, leases, snapshots, tasks.

mod bounds;
mod dictionary;
mod kit;
mod leases;
mod owners;
mod snapshots;
mod support;
mod tasks;
