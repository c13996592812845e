//! The store contract: what every store promises, and the boxed form that the layer holds.
//!
//! - [`SessionStore`]: the contract, sentence by sentence; the conformance kit (feature `conformance`) checks each.
//! - [`Listing`], [`Clearing`], [`Owners`], [`Leases`]: what some backends can do and others can't.
//! - [`provided`]: what the contract provides, callable by a store that overrides it.
//! - [`Stored`], [`Version`], [`Usage`] and the outcomes: what goes in and what comes out.
//! - [`StoreError`]: a store that could not do it, which never means "absent".
//! - [`DynStore`]: any store, boxed and cheap to clone.

#[cfg(any(feature = "memcached", all(feature = "url", any(feature = "postgres", feature = "mysql"))))]
pub(crate) mod address;
mod cached;
mod capability;
mod contract;
#[cfg(any(feature = "file", feature = "sqlite"))]
mod durability;
mod dynamic;
#[cfg(feature = "encryption")]
mod encrypted;
mod error;
#[cfg(feature = "file")]
pub(crate) mod file;
mod links;
#[cfg(feature = "memcached")]
pub(crate) mod memcached;
#[cfg(feature = "memory")]
pub(crate) mod memory;
pub(crate) mod observed;
mod outcome;
pub mod provided;
pub(crate) mod required;
mod seed;
mod small;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) mod sql;
#[cfg(any(feature = "file", feature = "memory", feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod tasks;
mod version;

#[cfg(any(feature = "file", feature = "sqlite"))]
pub use self::durability::Durability;
#[cfg(all(fuzzing, feature = "encryption"))]
pub(crate) use self::encrypted::fuzz_sealed;
#[cfg(feature = "encryption")]
pub use self::encrypted::{EncryptedStore, Resealed, SealError};
#[cfg(feature = "file")]
pub use self::file::{FileStore, FileStoreBuilder, FileStoreError};
#[cfg(feature = "memcached-tls")]
pub use self::memcached::MemcachedTls;
#[cfg(feature = "memcached")]
pub use self::memcached::{ListPolicy, MemcachedConfigError, MemcachedStore, MemcachedStoreBuilder, ServerStatistics};
#[cfg(feature = "memory")]
pub use self::memory::{MemoryOpenError, MemoryStatistics, MemoryStore, MemoryStoreBuilder, Restored};
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub use self::sql::{SqlStatistics, SqlStore, SqlStoreBuilder, SqlStoreError};
pub use self::{
    cached::{CacheConfig, CacheStatistics, CachedStore},
    capability::{Clearing, Leases, Listing, Owners},
    contract::SessionStore,
    dynamic::DynStore,
    error::{StoreError, StoreErrorKind},
    observed::ObservedStore,
    outcome::{
        Create, Cursor, End, Holder, Idle, Lock, Metadata, Owned, OwnerEpoch, Page, Refresh, Rename, SessionStatus,
        Stored, Swept, Touch, Update, Usage,
    },
    version::Version,
};
