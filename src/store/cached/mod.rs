//! A write-through cache in front of any store.
//!
//! - [`CachedStore`]: the cache. [`CacheConfig`]: its settings. [`CacheStatistics`]: its statistics.
//!
//! # Freshness
//!
//! By default, every load asks the store whether the cached record is still current
//! ([`refresh`](crate::SessionStore::refresh)). So a session is as fresh as without the cache: a change, a logout or an
//! expiry in another process is visible to the next load. The cache saves the transfer of the record, and opening it if
//! it is sealed, but not the round trip. [`CacheConfig::trusted`] saves the round trip, too; its documentation says
//! what that gives up.
//!
//! An owner's epoch is never cached: revoking all sessions of an owner is visible at once, whether sessions are trusted
//! or not.
//!
//! # Coherence
//!
//! A write goes to the store first, and into the cache only after the store has answered. If two writes of one id
//! overlap, the cache keeps neither. A write that is dropped or fails removes its id from the cache. What was read
//! before a write of the same id was over is not cached after it, so a late fill does not bring a removed session back.
//! `clear`, `delete_idle` and `close` empty the cache. `sweep` need not, since no entry is served past its expiry.
//!
//! Concurrent loads that miss the same id share one call to the store. If the load that makes the call is dropped, the
//! next waiting load makes it. If every load is validated, a load never gets an answer that was read before it began: a
//! load that arrives while a call is under way shares the next call with all others that do. If the cache is trusted
//! for a time, it shares the call that is under way.
//!
//! The cache is bypassed in front of a store that keeps its records in this process's memory, even if that store is
//! wrapped.
//!
//! # Events
//!
//! Target `session_layer::store::cached`; the inner store reports its own.
//!
//! | level | event | fields |
//! |---|---|---|
//! | trace | `hit` | `id`, `validated` |
//! | trace | `miss` | `id` |
//! | info | `evicted` | `sessions` |
//! | warn | `load failed` | `id`, `error` |

mod config;
mod flight;
mod lru;
mod statistics;
mod store;
mod sync;
mod table;
#[cfg(test)]
mod tests;

pub use self::{config::CacheConfig, statistics::CacheStatistics, store::CachedStore};
