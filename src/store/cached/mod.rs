//! A write-through cache in front of any store.
//!
//! - [`CachedStore`]: the cache. [`CacheConfig`]: how much it keeps, and how fresh. [`CacheStatistics`]: what it has done.
//!
//! # Freshness
//!
//! By default every load asks the store whether the cached record is still the one
//! ([`refresh`](crate::SessionStore::refresh)), so a session is as fresh as without the cache: a change, a logout or an
//! expiry in another process is seen by the next load. It saves what the store has to send, and opening it if it is
//! sealed, not the round trip. [`CacheConfig::trusted`] saves the round trip too, and says what that gives up.
//!
//! An owner's epoch is never cached: that all sessions of an owner are revoked is seen at once, trusted or not.
//!
//! # Coherence
//!
//! Writes go to the store first and into the cache after it answered, never at the same time. Where two writes of one id
//! overlap, the cache keeps neither. A write that is dropped or fails leaves nothing of its id in the cache. What was
//! read before a write of the same id was over is not put in after it, so a removed session does not come back by a late
//! fill. `clear` and `delete_idle` empty the cache; `sweep` need not, since no entry is served past its expiry.
//!
//! Loads that miss the same id at the same time make one call to the store; a load that is dropped leaves the call to
//! the next one that waits for it. Where every load is validated, a load never gets an answer that was read before it
//! began: one that comes while a call is under way shares the next call with all others that do. Where the store is
//! trusted for a time, it shares the call that is under way.
//!
//! In front of a store that keeps its records in this process's memory it steps aside, also if that store is wrapped:
//! every call goes straight through.
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
