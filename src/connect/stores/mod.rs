//! The schemes and their options.

#[cfg(feature = "file")]
mod file;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::sync::Arc;

use super::error::ConnectError;
use crate::{
    events::Observer,
    store::DynStore,
    url::{StoreUrl, hint},
};

/// The schemes, and the feature of each.
const SCHEMES: [(&str, &str); 17] = [
    ("memory", "memory"),
    ("file", "file"),
    ("memcached", "memcached"),
    ("redis", "redis"),
    ("rediss", "redis-tls"),
    ("redis+unix", "redis"),
    ("redis-cluster", "redis"),
    ("redis-sentinel", "redis"),
    ("rediss-cluster", "redis-tls"),
    ("rediss-sentinel", "redis-tls"),
    ("valkey", "redis"),
    ("valkeys", "redis-tls"),
    ("valkey+unix", "redis"),
    ("valkey-cluster", "redis"),
    ("valkey-sentinel", "redis"),
    ("valkeys-cluster", "redis-tls"),
    ("valkeys-sentinel", "redis-tls"),
];

/// The observer of the store's events, if there is one.
type Told = Option<Arc<dyn Observer>>;

#[cfg_attr(
    not(any(feature = "memory", feature = "file", feature = "memcached", feature = "redis")),
    allow(unused_variables, reason = "no store is compiled in")
)]
pub(super) async fn open(url: &StoreUrl<'_>, told: Told) -> Result<DynStore, ConnectError> {
    match url.scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => memory::open(url, told).await,
        #[cfg(feature = "file")]
        "file" => file::open(url, told).await,
        #[cfg(feature = "memcached")]
        "memcached" => memcached::open(url, told),
        #[cfg(feature = "redis")]
        scheme if redis::schemes().any(|known| known == scheme) => redis::open(url, told),
        scheme => Err(match SCHEMES.iter().find(|(known, _)| *known == scheme) {
            Some((_, feature)) => ConnectError::new(format!(
                "the store `{scheme}:` is not compiled in: enable the feature `{feature}` of session-layer in Cargo.toml"
            )),
            None => unknown(scheme, url.target),
        }),
    }
}

fn unknown(scheme: &str, target: &str) -> ConnectError {
    // `localhost:11211`
    let is_port = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
    let server = if target == "6379" { "redis" } else { "memcached" };
    let names: Vec<_> = SCHEMES.iter().map(|(name, _)| *name).collect();
    let meant = if is_port { format!("write `{server}://{scheme}:{target}`? ") } else { hint(scheme, &names) };
    ConnectError::new(format!(
        "the store URL's scheme `{scheme}:` is unknown: {meant}the schemes are memory, file, memcached, redis, \
         redis+unix, redis-cluster and redis-sentinel, rediss and others with it by TLS, and valkey for redis"
    ))
}

/// Puts a cache in front of the store if the URL asks for one.
#[cfg(any(feature = "file", feature = "memcached", feature = "redis"))]
fn cached(sessions: Option<usize>, store: impl crate::store::SessionStore, told: Told) -> DynStore {
    use crate::store::{CacheConfig, CachedStore};
    match sessions {
        Some(sessions) => {
            let settings = CacheConfig::new().capacity(sessions);
            let settings = told.into_iter().fold(settings, CacheConfig::observe);
            DynStore::new(CachedStore::with_config(store, settings))
        }
        None => DynStore::new(store),
    }
}
