//! One durable file per session in a directory, shared by several processes.
//!
//! - [`FileStore`] and its settings, [`FileStoreBuilder`] and [`Durability`].
//! - [`FileStoreError`]: which file, what failed, what to do.

/// The target of all events.
pub(super) const TARGET: &str = "session_layer::store::file";

/// What kind of store it is.
const NAME: &str = "file";

mod builder;
mod content;
mod dirty;
mod disk;
mod error;
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

pub use self::{builder::FileStoreBuilder, error::FileStoreError, store::FileStore};
use super::durability::Durability;
