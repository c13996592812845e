//! Sessions on Redis or Valkey.
//!
//! [`RedisStore`] documents its guarantees. Files, from the lowest: `events`, `error`, `joined`, `key`, `listed`,
//! `recent`, `known_epoch`, `value`, `reply`, `script` with `scripts/`; `link/`, the connections, which contains nothing about
//! sessions; `store`, and the parts of its operations in `operations`, `epoch`, `owner`, `lease`, `listing` and
//! `generation`; `contract`, the trait implementations; `servers`, where to connect; `builder`; `url`.

mod builder;
mod contract;
mod epoch;
mod error;
mod events;
mod generation;
mod joined;
mod key;
mod known;
mod lease;
mod link;
mod listed;
mod listing;
mod operations;
mod owner;
mod recent;
mod reply;
mod script;
mod servers;
mod store;
mod url;
mod value;

#[cfg(feature = "redis-tls")]
pub use self::link::RedisTls;
#[cfg(feature = "url")]
pub(crate) use self::url::{read as read_url, schemes as url_schemes};
pub use self::{builder::RedisStoreBuilder, error::RedisConfigError, link::RedisStatistics, store::RedisStore};
