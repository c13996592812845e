//! Sessions in this process's memory, for production use: bounded, with proactive expiry, and with optional snapshots.

mod background;
mod builder;
mod contract;
mod core;
mod disk;
mod error;
mod events;
mod evicted;
mod eviction;
mod journal;
mod keeper;
mod lease;
mod ledger;
mod line;
#[cfg(test)]
mod loom_tests;
#[cfg(test)]
mod model;
mod owners;
mod restore;
mod scribe;
mod shard;
mod slot;
mod snapshot;
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
