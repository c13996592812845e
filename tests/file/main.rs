//! The file store: alone, beside other processes, killed, on full and broken disks.
#![cfg(all(feature = "file", unix))]

mod basics;
//mod child;
//mod crash;
mod damage;
//mod events;
//mod faults;
mod kit;
mod locks;
mod model;
mod owners;
//mod processes;
mod support;
//mod trace;
