//! What each scheme takes.

use std::sync::Arc;

use super::{
    error::{ConnectError, hint},
    url::StoreUrl,
};
use crate::{events::Observer, store::DynStore};

const SCHEMES: [&str; 3] = ["memory", "file", "memcached"];

/// Who is told of what the store does.
type Told = Option<Arc<dyn Observer>>;

#[cfg_attr(
    not(any(feature = "memory", feature = "file", feature = "memcached")),
    allow(unused_variables, reason = "no store is compiled in")
)]
pub(super) async fn open(url: &StoreUrl, told: Told) -> Result<DynStore, ConnectError> {
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
        other => Err(ConnectError::new(format!(
            "the store URL's scheme `{other}:` is unknown: {}the schemes are memory, file and memcached",
            hint(other, &SCHEMES)
        ))),
    }
}

/// The cache in front, if one is asked for.
#[cfg(any(feature = "file", feature = "memcached"))]
fn cached(url: &StoreUrl, store: impl crate::store::SessionStore, told: Told) -> Result<DynStore, ConnectError> {
    use crate::store::{CacheSettings, CachedStore};
    Ok(match url.number("cache")? {
        Some(sessions) => {
            let settings = CacheSettings::new().capacity(sessions);
            let settings = told.into_iter().fold(settings, CacheSettings::observe);
            DynStore::new(CachedStore::with_settings(store, settings))
        }
        None => DynStore::new(store),
    })
}

#[cfg(feature = "memory")]
mod memory {
    use std::time::Duration;

    use super::{ConnectError, DynStore, StoreUrl, Told};
    use crate::store::{MemoryStore, MemoryStoreBuilder};

    const OPTIONS: [&str; 5] = ["capacity", "bytes", "snapshot", "snapshot_interval_s", "sweep_interval_s"];

    pub(super) async fn open(url: &StoreUrl, told: Told) -> Result<DynStore, ConnectError> {
        url.takes(&OPTIONS)?;
        if !url.target.is_empty() {
            return Err(ConnectError::new(format!(
                "the store URL `memory:` takes no path, but has {:?}: write `memory:?snapshot=PATH` for a snapshot",
                url.target
            )));
        }
        let mut builder = told.into_iter().fold(MemoryStore::builder(), MemoryStoreBuilder::observe);
        if let Some(sessions) = url.number("capacity")? {
            builder = builder.capacity(sessions);
        }
        if let Some(bytes) = url.number("bytes")? {
            builder = builder.bytes(bytes);
        }
        if let Some(path) = url.text("snapshot") {
            builder = builder.snapshot_path(path);
        }
        if let Some(seconds) = url.number("snapshot_interval_s")? {
            builder = builder.snapshot_interval(Duration::from_secs(seconds));
        }
        if let Some(seconds) = url.number("sweep_interval_s")? {
            builder = builder.sweep_interval(Duration::from_secs(seconds));
        }
        // It reads the snapshot, which blocks.
        let opened = tokio::task::spawn_blocking(move || builder.open()).await;
        let opened = opened.map_err(|error| ConnectError::opening("memory", error))?;
        opened.map(DynStore::new).map_err(|error| ConnectError::opening("memory", error))
    }
}

#[cfg(feature = "file")]
mod file {
    use std::time::Duration;

    use super::{ConnectError, DynStore, StoreUrl, Told, cached};
    use crate::{
        connect::url::decode,
        store::{Durability, FileStore, FileStoreBuilder},
    };

    const OPTIONS: [&str; 4] = ["durability", "create", "sweep_interval_s", "cache"];

    pub(super) async fn open(url: &StoreUrl, told: Told) -> Result<DynStore, ConnectError> {
        url.takes(&OPTIONS)?;
        // `file:///var/lib/x` as well as `file:/var/lib/x` and `file:x`.
        let dir = decode(url.target.strip_prefix("//").unwrap_or(&url.target))?;
        if dir.is_empty() {
            return Err(ConnectError::new("the store URL `file:` names no directory: write `file:DIR`"));
        }
        let mut builder = told.iter().cloned().fold(FileStore::builder(&*dir), FileStoreBuilder::observe);
        let durabilities = [("none", Durability::None), ("data", Durability::Data), ("full", Durability::Full)];
        if let Some(durability) = url.word("durability", &durabilities)? {
            builder = builder.durability(durability);
        }
        if let Some(seconds) = url.number("sweep_interval_s")? {
            builder = builder.sweep_every(Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero()));
        }
        let create = url.word("create", &[("yes", true), ("no", false)])?.unwrap_or(false);
        let opened = if create { builder.create().await } else { builder.open().await };
        let opened = opened.map_err(|error| match std::fs::symlink_metadata(&*dir) {
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => ConnectError::new(format!(
                "the file store's directory {dir} is missing: create it, or add the option `create=yes` to the store URL"
            )),
            _ => ConnectError::opening("file", error),
        });
        cached(url, opened?, told)
    }
}

#[cfg(feature = "memcached")]
mod memcached {
    use std::time::Duration;

    use super::{ConnectError, DynStore, StoreUrl, Told, cached};
    use crate::{
        connect::url::decode,
        store::{ListPolicy, MemcachedStore},
    };

    const OPTIONS: [&str; 5] = ["timeout_ms", "connect_timeout_ms", "connections", "list", "cache"];

    pub(super) fn open(url: &StoreUrl, told: Told) -> Result<DynStore, ConnectError> {
        url.takes(&OPTIONS)?;
        let Some(target) = url.target.strip_prefix("//") else {
            return Err(ConnectError::new(
                "the store URL `memcached:` has no `//`: write `memcached://HOST,HOST/PREFIX`",
            ));
        };
        let (servers, prefix) = target.split_once('/').unwrap_or((target, ""));
        if servers.contains('@') {
            return Err(ConnectError::new(
                "secrets are not taken from the store URL: use `MemcachedStore::builder().credentials(user, password)`",
            ));
        }
        let mut builder = MemcachedStore::builder();
        if !servers.is_empty() {
            let servers: Result<Vec<_>, _> = servers.split(',').map(decode).collect();
            builder = builder.servers(servers?);
        }
        if !prefix.is_empty() {
            builder = builder.prefix(format!("{}:", decode(prefix)?));
        }
        if let Some(millis) = url.number("timeout_ms")? {
            builder = builder.request_timeout(Duration::from_millis(millis));
        }
        if let Some(millis) = url.number("connect_timeout_ms")? {
            builder = builder.connect_timeout(Duration::from_millis(millis));
        }
        if let Some(connections) = url.number("connections")? {
            builder = builder.connections(connections);
        }
        let policies = [("ignore", ListPolicy::Ignore), ("warn", ListPolicy::Warn), ("error", ListPolicy::Error)];
        if let Some(policy) = url.word("list", &policies)? {
            builder = builder.list_policy(policy);
        }
        cached(url, builder.build().map_err(|error| ConnectError::opening("memcached", error))?, told)
    }
}
