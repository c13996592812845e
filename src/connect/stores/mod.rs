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

const SCHEMES: [&str; 3] = ["memory", "file", "memcached"];

/// The observer of the store's events, if there is one.
type Told = Option<Arc<dyn Observer>>;

#[cfg_attr(
    not(any(feature = "memory", feature = "file", feature = "memcached")),
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
        known if SCHEMES.contains(&known) => Err(ConnectError::new(format!(
            "the store `{known}:` is not compiled in: enable the feature `{known}` of session-layer in Cargo.toml"
        ))),
        other => Err(unknown(other, url.target)),
    }
}

fn unknown(scheme: &str, target: &str) -> ConnectError {
    // `localhost:11211`
    let is_port = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
    let meant = if is_port { format!("write `memcached://{scheme}:{target}`? ") } else { hint(scheme, &SCHEMES) };
    ConnectError::new(format!(
        "the store URL's scheme `{scheme}:` is unknown: {meant}the schemes are memory, file and memcached"
    ))
}

/// Puts a cache in front of the store if the URL asks for one.
#[cfg(any(feature = "file", feature = "memcached"))]
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
