//! The store contract: what every store promises, and the boxed form that the layer holds.
//!
//! - [`SessionStore`]: the contract, sentence by sentence; the conformance kit (feature `conformance`) checks each.
//! - [`Stored`], [`Version`], [`Usage`] and the outcomes: what goes in and what comes out.
//! - [`StoreError`]: a store that could not do it, which never means "absent".
//! - [`DynStore`]: any store, boxed and cheap to clone.

mod contract;
mod dynamic;
mod error;
#[cfg(feature = "memcached")]
pub(crate) mod memcached;
#[cfg(feature = "memory")]
pub(crate) mod memory;
mod outcome;
mod version;

#[cfg(feature = "memcached-tls")]
pub use self::memcached::MemcachedTls;
#[cfg(feature = "memcached")]
pub use self::memcached::{ListPolicy, MemcachedBuilder, MemcachedConfigError, MemcachedStore, ServerStatistics};
#[cfg(feature = "memory")]
pub use self::memory::MemoryStore;
pub use self::{
    contract::SessionStore,
    dynamic::DynStore,
    error::{StoreError, StoreErrorKind},
    outcome::{
        Create, Cursor, Holder, Lock, Metadata, Page, Refresh, Rename, SessionStatus, Stored, Swept, Touch, Update,
        Usage,
    },
    version::Version,
};
