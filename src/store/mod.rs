//! The store contract, and the boxed store that the layer holds.
//!
//! - [`SessionStore`]: the contract; the conformance kit (feature `conformance`) checks each of its sentences.
//! - [`Listing`], [`Clearing`], [`Owners`], [`Leases`]: optional capabilities, which some backends have and others
//!   don't.
//! - [`provided`]: the contract's provided methods as functions, for a store that overrides them.
//! - [`Stored`], [`Version`], [`Usage`] and the outcomes: the arguments and results of the methods.
//! - [`StoreError`]: a failed operation, which never means "absent".
//! - [`DynStore`]: any store, boxed and cheap to clone.

#[cfg(any(
    feature = "memcached",
    feature = "redis",
    all(feature = "url", any(feature = "postgres", feature = "mysql"))
))]
pub(crate) mod address;
#[cfg(any(feature = "file", feature = "memory", feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod background_tasks;
#[cfg(any(feature = "memcached", feature = "redis", feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod backoff;
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
mod holder;
mod id_hash;
mod idle;
#[cfg(feature = "memcached")]
pub(crate) mod memcached;
#[cfg(feature = "memory")]
pub(crate) mod memory;
mod metadata;
pub(crate) mod observed;
mod outcome;
mod page;
pub mod provided;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "memcached", feature = "redis", feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod released;
mod slot_rings;
mod small_bytes;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) mod sql;
mod stored;
mod tracked;
mod usage;
mod version;

pub(crate) use self::capability::{own_capabilities, require};
#[cfg(any(feature = "file", feature = "sqlite"))]
pub use self::durability::Durability;
#[cfg(all(fuzzing, feature = "encryption"))]
pub(crate) use self::encrypted::fuzz_sealed;
#[cfg(feature = "encryption")]
pub use self::encrypted::{EncryptedStore, Resealed, SealError};
#[cfg(any(feature = "memcached", feature = "redis", feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use self::error::log_failed;
#[cfg(feature = "file")]
pub use self::file::{FileStore, FileStoreBuilder, FileStoreError};
#[cfg(feature = "memcached-tls")]
pub use self::memcached::MemcachedTls;
#[cfg(feature = "memcached")]
pub use self::memcached::{ListPolicy, MemcachedConfigError, MemcachedStore, MemcachedStoreBuilder, ServerStatistics};
#[cfg(feature = "memory")]
pub use self::memory::{MemoryOpenError, MemoryStatistics, MemoryStore, MemoryStoreBuilder, Restored};
#[cfg(feature = "redis-tls")]
pub use self::redis::RedisTls;
#[cfg(feature = "redis")]
pub use self::redis::{RedisConfigError, RedisStatistics, RedisStore, RedisStoreBuilder};
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub use self::sql::{SqlStatistics, SqlStore, SqlStoreBuilder, SqlStoreError};
pub use self::{
    cached::{CacheConfig, CacheStatistics, CachedStore},
    capability::{Clearing, Leases, Listing, Owners},
    contract::SessionStore,
    dynamic::DynStore,
    error::{StoreError, StoreErrorKind},
    holder::Holder,
    idle::{Idle, Swept},
    metadata::{Metadata, SessionStatus},
    observed::ObservedStore,
    outcome::{Acquire, Create, End, Refresh, Rename, Touch, Update},
    page::{Cursor, Page},
    stored::{ListedSession, OwnerEpoch, Stored},
    tracked::Tracked,
    usage::Usage,
    version::Version,
};
