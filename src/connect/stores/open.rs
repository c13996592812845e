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
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
use super::sql;
use crate::{
    connect::error::ConnectError,
    store::DynStore,
    url::{StoreUrl, hint},
};

/// The schemes, and the feature of each.
const SCHEMES: [(&str, &str); 22] = [
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
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("sqlite", "sqlite"),
];

/// Opens the store of the URL's scheme.
#[cfg_attr(
    not(any(
        feature = "memory",
        feature = "file",
        feature = "memcached",
        feature = "redis",
        feature = "postgres",
        feature = "mysql",
        feature = "sqlite"
    )),
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
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => sql::postgres(url, observer).await,
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => sql::mysql(url, observer).await,
        #[cfg(feature = "sqlite")]
        "sqlite" => sql::sqlite(url, observer).await,
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
    let form = match target {
        "6379" => format!("redis://{scheme}:{target}"),
        "5432" => format!("postgres://USER@{scheme}:{target}/DATABASE"),
        "3306" => format!("mysql://USER@{scheme}:{target}/DATABASE"),
        _ => format!("memcached://{scheme}:{target}"),
    };
    let names: Vec<_> = SCHEMES.iter().map(|(name, _)| *name).collect();
    let meant = if is_port { format!("write `{form}`? ") } else { hint(scheme, &names) };
    ConnectError::new(format!(
        "the store URL's scheme `{scheme}:` is unknown: {meant}the schemes are memory, file, memcached, redis, \
         redis+unix, redis-cluster and redis-sentinel, rediss and others with it by TLS, valkey for redis, postgres, mysql \
         and sqlite"
    ))
}
