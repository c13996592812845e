//! Sessions on a cluster of memcached servers.

mod address;
mod client;
mod config;
mod envelope;
mod events;
mod expiry;
mod generation;
mod item;
mod key;
mod lease;
mod owner;
mod ring;
mod store;

#[cfg(feature = "memcached-tls")]
pub use self::client::MemcachedTls;
pub use self::{
    client::ServerStatistics,
    config::{ListPolicy, MemcachedBuilder, MemcachedConfigError},
    store::MemcachedStore,
};
