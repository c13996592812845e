//! Sessions on a cluster of memcached servers: the store, its ring, and its own small client.
//!
//! [`MemcachedStore`] documents its guarantees and what eviction can do. Files, from the lowest: `address`, `key`,
//! `ring`, `expiry`, `events`, `backoff`, `released`, `error`, `list_policy`; `client/`, which has no notion of
//! sessions; `retry`; `envelope`, the encoding of an item; `store` with `generation`, `item`, `epoch`, `lease` and
//! `owner`; `builder`.

mod address;
mod backoff;
mod builder;
mod client;
mod envelope;
mod epoch;
mod error;
mod events;
mod expiry;
mod generation;
mod item;
mod key;
mod lease;
mod list_policy;
mod owner;
mod released;
mod retry;
mod ring;
mod store;

#[cfg(feature = "memcached-tls")]
pub use self::client::MemcachedTls;
#[cfg(fuzzing)]
pub(crate) use self::client::fuzz_reply;
pub use self::{
    builder::MemcachedStoreBuilder, client::ServerStatistics, error::MemcachedConfigError, list_policy::ListPolicy,
    store::MemcachedStore,
};
