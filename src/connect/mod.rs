//! From a URL to a store, so that a store can be chosen at run time.
//!
//! - [`connect`]: the one function.
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

pub use self::error::ConnectError;
use self::url::StoreUrl;
use crate::store::DynStore;

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
    let url = StoreUrl::parse(url)?;
    stores::open(&url).await
}
