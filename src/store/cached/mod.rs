//! A write-through cache in front of any store.
//!
//! [`CachedStore`] documents what the cache guarantees. The files from the bottom up; each uses those above it.
//!
//! | | |
//! |---|---|
//! | `sync` | the locks, which shuttle can replace |
//! | `config`, `statistics` | [`CacheConfig`] and [`CacheStatistics`] |
//! | `flight`, `lru` | loads that share one call to the store, and the entries in their order of use |
//! | `table` | the cached records, and the stamps of the operations that work on them |
//! | `store` | [`CachedStore`], and how its calls use the table |
//! | `contract`, `capabilities` | the implementation of the contract |

mod capabilities;
mod config;
mod contract;
mod flight;
mod lru;
mod statistics;
mod store;
mod sync;
mod table;
#[cfg(test)]
mod tests;

pub use self::{config::CacheConfig, statistics::CacheStatistics, store::CachedStore};
