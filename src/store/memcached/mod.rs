//! Sessions on a cluster of memcached servers: the store, its ring, and a small client of its own.
//!
//! [`MemcachedStore`] documents its guarantees and what eviction can do. Files, from the lowest: `address`, `key`,
//! `ring`, `expiry`, `events`, `error`, `options`, `backoff`, `released`; `client/`, which knows no session; `answer`;
//! `envelope`, the form of an item; `store` with `generation`, `item`, `epoch`, `lease` and `owner`;
//! `builder`.

mod address;
mod answer;
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
mod options;
mod owner;
mod released;
mod ring;
mod store;

#[cfg(feature = "memcached-tls")]
pub use self::client::MemcachedTls;
pub use self::{
    builder::MemcachedStoreBuilder, client::ServerStatistics, error::MemcachedConfigError, options::ListPolicy,
    store::MemcachedStore,
};

#[cfg(fuzzing)]
pub(crate) fn fuzz_reply(data: &[u8]) {
    client::fuzz_reply(data);
}
