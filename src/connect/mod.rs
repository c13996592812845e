//! From a URL to a store, so that a store can be chosen at run time.
//!
//! - [`connect`], and [`connect_observed`] for who wants to be told what the store does.
//! - `url`: the parts of a URL, and the complaints about them.
//! - `stores`: what each scheme takes.
//! - [`ConnectError`]: what is wrong, and what is allowed.

mod error;
mod stores;
#[cfg_attr(
    not(all(feature = "memory", feature = "file", feature = "memcached")),
    allow(dead_code, reason = "which options are asked for depends on the stores that are compiled in")
)]
mod url;

use std::sync::Arc;

pub use self::error::ConnectError;
use self::url::StoreUrl;
use crate::{events::Observer, store::DynStore};

/// Opens the store that a URL names.
///
/// | URL | store | options |
/// |---|---|---|
/// | `memory:` | [`MemoryStore`](crate::MemoryStore) | `capacity`, `bytes`, `snapshot=PATH`, `snapshot_interval_s`, `sweep_interval_s` |
/// | `file:DIR` | [`FileStore`](crate::FileStore) | `durability=none\|data\|full`, `create=yes\|no`, `sweep_interval_s` (0: never), `cache` |
/// | `memcached://HOST[:PORT],…[/PREFIX]` | [`MemcachedStore`](crate::MemcachedStore) | `timeout_ms`, `connect_timeout_ms`, `connections`, `list=ignore\|warn\|error`, `cache` |
///
/// `cache=N` puts a [`CachedStore`](crate::CachedStore) of N sessions in front, always validated. Parts are
/// percent-decoded (RFC 3986, section 2.1); a Unix socket is written as `%2Frun%2Fmemcached.sock`. The prefix of
/// memcached keys is followed by a colon; without one it is `session:`. Secrets are not taken from URLs, which end in
/// logs and process lists: use the store's own builder.
///
/// ```
/// # async fn open() -> Result<(), session_layer::ConnectError> {
/// let store = session_layer::connect("memory:?capacity=50000").await?;
/// let error = session_layer::connect("memory:?capacty=50000").await.unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the store URL's option `capacty` is unknown: did you mean `capacity`? \
///      `memory:` takes capacity, bytes, snapshot, snapshot_interval_s, sweep_interval_s"
/// );
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(open()).unwrap();
/// ```
///
/// # Errors
///
/// If a part of the URL is wrong (the error names the part, what is allowed and the nearest valid name), the store's
/// feature is not compiled in (the error names it), or the store can't be opened.
pub async fn connect(url: &str) -> Result<DynStore, ConnectError> {
    stores::open(&StoreUrl::parse(url)?, None).await
}

/// The same, with an observer of what the store does by itself: evictions, sweeps, hits and misses of the cache.
///
/// ```
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use session_layer::{Event, SessionLayer, connect_observed};
///
/// let observer = |event: &Event<'_>| println!("{}", event.name());
/// let store = connect_observed("memory:", observer).await?;
/// let layer = SessionLayer::builder(store).observe(observer).build()?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(open()).unwrap();
/// ```
///
/// # Errors
///
/// As [`connect`].
pub async fn connect_observed(url: &str, observer: impl Observer) -> Result<DynStore, ConnectError> {
    stores::open(&StoreUrl::parse(url)?, Some(Arc::new(observer))).await
}
