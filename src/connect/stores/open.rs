//! The schemes.

#[cfg(feature = "file")]
use super::file;
#[cfg(feature = "memcached")]
use super::memcached;
#[cfg(feature = "memory")]
use super::memory;
use super::observer::StoreObserver;
#[cfg(feature = "redis")]
use super::redis;
use crate::{
    connect::error::ConnectError,
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

/// Opens the store of the URL's scheme.
#[cfg_attr(
    not(any(feature = "memory", feature = "file", feature = "memcached", feature = "redis")),
    allow(unused_variables, reason = "no store is compiled in")
)]
pub(in crate::connect) async fn open(url: &StoreUrl<'_>, observer: StoreObserver) -> Result<DynStore, ConnectError> {
    match url.scheme.as_str() {
        #[cfg(feature = "memory")]
        "memory" => memory::open(url, observer).await,
        #[cfg(feature = "file")]
        "file" => file::open(url, observer).await,
        #[cfg(feature = "memcached")]
        "memcached" => memcached::open(url, observer),
        #[cfg(feature = "redis")]
        scheme if redis::schemes().any(|known| known == scheme) => redis::open(url, observer),
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
