//! Sessions on a cluster of memcached servers: the store, its ring, and a small client of its own.
//!
//! [`MemcachedStore`] documents its guarantees and what eviction can do. Files, from the lowest: `key`,
//! `ring`, `expiry`, `events`, `backoff`, `released`, `error`, `list_policy`; `client/`, which knows no session; `retry`;
//! `envelope`, the form of an item; `store` with `generation`, `item`, `epoch`, `lease` and `owner`; `builder`.

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
pub use self::{
    builder::MemcachedStoreBuilder, client::ServerStatistics, error::MemcachedConfigError, list_policy::ListPolicy,
    store::MemcachedStore,
};

#[cfg(fuzzing)]
pub(crate) fn fuzz_reply(data: &[u8]) {
    client::fuzz_reply(data);
}
