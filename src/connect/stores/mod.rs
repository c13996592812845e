//! The schemes and their options.

#[cfg(feature = "file")]
mod file;
#[cfg(any(feature = "file", feature = "sqlite"))]
mod local;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "memory")]
mod memory;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod sql;

use std::sync::Arc;

use super::{
    error::{ConnectError, hint},
    url::StoreUrl,
};
use crate::{events::Observer, store::DynStore};

/// The schemes, and the feature that each needs.
const SCHEMES: [(&str, &str); 8] = [
    ("memory", "memory"),
    ("file", "file"),
    ("memcached", "memcached"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("sqlite", "sqlite"),
];

/// The observer of the store's events, if there is one.
type Told = Option<Arc<dyn Observer>>;

#[cfg_attr(
    not(any(
        feature = "memory",
        feature = "file",
        feature = "memcached",
        feature = "postgres",
        feature = "mysql",
        feature = "sqlite"
    )),
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
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => sql::postgres(url, told).await,
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => sql::mysql(url, told).await,
        #[cfg(feature = "sqlite")]
        "sqlite" => sql::sqlite(url, told).await,
        other => Err(unknown(other, url.target)),
    }
}

fn unknown(scheme: &str, target: &str) -> ConnectError {
    if let Some((_, feature)) = SCHEMES.iter().find(|(known, _)| *known == scheme) {
        return ConnectError::new(format!(
            "the store `{scheme}:` is not compiled in: enable the feature `{feature}` of session-layer in Cargo.toml"
        ));
    }
    // `localhost:11211`
    let is_port = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
    let meant = if is_port {
        format!("write `memcached://{scheme}:{target}`? ")
    } else {
        hint(scheme, &SCHEMES.map(|(name, _)| name))
    };
    ConnectError::new(format!(
        "the store URL's scheme `{scheme}:` is unknown: {meant}the schemes are memory, file, memcached, \
         postgres, mysql and sqlite"
    ))
}

/// Puts a cache in front of the store if the URL asks for one.
#[cfg(any(feature = "file", feature = "memcached", feature = "postgres", feature = "mysql", feature = "sqlite"))]
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
