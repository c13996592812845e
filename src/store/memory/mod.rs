//! Sessions in this process's memory, for production use: bounded, with proactive expiry, and with optional snapshots.
//!
//! The files from the bottom up; each uses those above it.
//!
//! | | |
//! |---|---|
//! | `events`, `error` | where events are sent, and the error of opening a store |
//! | `sync` | the table's locks and counters, which loom can replace |
//! | `lease`, `slot`, `wheel` | the lease of a session, a record in the table, and the timing wheel of expiries |
//! | `departed` | records that left the table, to be reported after the locks are released |
//! | `occupancy`, `owners` | what the whole table holds and the bounds on it, and the index of each owner's sessions |
//! | `atomic_file`, `journal_line`, `snapshot` | files that are replaced atomically, and the formats of both files |
//! | `journal_writer`, `journal` | the removal journal: its file and backlog, and the thread that writes it |
//! | `shard`, `table` | the state under one lock, and all shards with the calls on them |
//! | `eviction`, `walk` | which session makes room, and walks over many sessions |
//! | `snapshotter`, `restore` | writes snapshots, and reads snapshot and journal when a store is opened |
//! | `core`, `background` | what the clones of a store share, and its tasks |
//! | `store`, `builder` | [`MemoryStore`] and its settings |
//! | `contract`, `capabilities` | the implementation of the contract |
//! | `loom_tests`, `model` | tests: every schedule of two or three calls, and a comparison with a simple model |

mod atomic_file;
mod background;
mod builder;
mod capabilities;
mod contract;
mod core;
mod departed;
mod error;
mod events;
mod eviction;
mod journal;
mod journal_line;
mod journal_writer;
mod lease;
#[cfg(test)]
mod loom_tests;
#[cfg(test)]
mod model;
mod occupancy;
mod owners;
mod restore;
mod shard;
mod slot;
mod snapshot;
mod snapshotter;
mod store;
mod sync;
mod table;
mod walk;
mod wheel;

#[cfg(fuzzing)]
pub(crate) use self::restore::fuzz as fuzz_snapshot;
pub use self::{
    builder::MemoryStoreBuilder,
    error::MemoryOpenError,
    restore::Restored,
    store::{MemoryStatistics, MemoryStore},
};
