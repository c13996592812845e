//! One durable file per session in a directory, shared by several processes.
//!
//! - [`FileStore`] and its settings, [`FileStoreBuilder`] and [`Durability`].
//! - [`FileStoreError`]: what failed, on which file, and what to do about it.

mod builder;
mod content;
mod dirty;
mod disk;
mod durability;
mod error;
mod events;
mod flushing;
mod found;
mod layout;
mod locks;
mod operations;
mod owners;
mod platform;
mod pool;
mod store;
mod sweeping;
mod times;
mod unsynced;
mod walk;
mod writing;

pub use self::{builder::FileStoreBuilder, durability::Durability, error::FileStoreError, store::FileStore};
