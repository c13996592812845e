//! The file store: alone, with other processes, killed, on full and broken disks.
#![cfg(all(feature = "file", unix))]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod basics;
mod bounded;
mod child;
mod crash;
mod damage;
mod events;
mod extremes;
mod faults;
mod kit;
mod locks;
mod model;
mod owners;
mod processes;
mod support;
mod sweep_command;
mod trace;
mod unsynced;
