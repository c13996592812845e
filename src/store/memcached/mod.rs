//! Sessions on a cluster of memcached servers: the store, its ring, and its own small client.
//!
//! [`MemcachedStore`] documents its guarantees and what eviction can do. The files from the bottom up; each uses those
//! above it.
//!
//! | | |
//! |---|---|
//! | `events`, `error`, `list_policy` | where events are sent, [`MemcachedConfigError`] and [`ListPolicy`] |
//! | `key`, `ring`, `expiry` | the keys of items, the server of a key, memcached's times |
//! | `client` | the client, which has no notion of sessions |
//! | `unexpected`, `failure`, `envelope` | the error of a reply, a failed operation as it is logged, an item's encoding |
//! | `options`, `listed`, `place` | settings, the sessions on their owner's list, and where an id is kept |
//! | `store` | [`MemcachedStore`] |
//! | `generation`, `item`, `settle` | generations of a server, records as items, what became of a write |
//! | `write`, `touch`, `end` | creates and updates, moves the expiry, deletes |
//! | `epoch`, `lease`, `owner` | an owner's epoch, leases, an owner's list of sessions |
//! | `contract`, `capabilities` | the implementation of the contract |
//! | `builder` | [`MemcachedStoreBuilder`] |

mod builder;
mod capabilities;
mod client;
mod contract;
mod end;
mod envelope;
mod epoch;
mod error;
mod events;
mod expiry;
mod failure;
mod generation;
mod item;
mod key;
mod lease;
mod list_policy;
mod listed;
mod options;
mod owner;
mod place;
mod ring;
mod settle;
mod store;
mod touch;
mod unexpected;
mod write;

#[cfg(feature = "memcached-tls")]
pub use self::client::MemcachedTls;
#[cfg(fuzzing)]
pub(crate) use self::client::fuzz_reply;
pub use self::{
    builder::MemcachedStoreBuilder, client::ServerStatistics, error::MemcachedConfigError, list_policy::ListPolicy,
    store::MemcachedStore,
};
