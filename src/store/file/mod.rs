//! One durable file per session in a directory, shared by several processes.
//!
//! The files from the bottom up; each uses those above it.
//!
//! | | |
//! |---|---|
//! | `events`, `error` | where events are sent, and [`FileStoreError`] |
//! | `platform`, `times`, `content` | operating systems, expiry and last use as a file's times, a file's content |
//! | `layout`, `locks` | the paths in the directory, and the shards' lock files |
//! | `dirty`, `disk` | the unsynced changes of this process, and the directory with its settings |
//! | `unsynced`, `found`, `writing` | marks shards with unsynced changes, reads one session's file, replaces it |
//! | `owners`, `operations`, `walk` | marks of owners' sessions, the blocking calls on one session, and on a shard |
//! | `turn`, `places`, `caller`, `pool` | limits and times the blocking calls: writers of a shard, running calls, one call, all |
//! | `store`, `builder` | [`FileStore`] and [`FileStoreBuilder`] |
//! | `flushing`, `sweeping` | calls on all shards |
//! | `contract`, `capabilities` | the implementation of the contract |

mod builder;
mod caller;
mod capabilities;
mod content;
mod contract;
mod dirty;
mod disk;
mod error;
mod events;
mod flushing;
mod found;
mod layout;
mod locks;
mod operations;
mod owners;
mod places;
mod platform;
mod pool;
mod store;
mod sweeping;
mod times;
mod turn;
mod unsynced;
mod walk;
mod writing;

pub use self::{builder::FileStoreBuilder, error::FileStoreError, store::FileStore};
