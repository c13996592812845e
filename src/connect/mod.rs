//! Opens a store from a URL, so that the store can be chosen at run time.
//!
//! - [`connect`], and [`connect_observed`], which also reports the store's events to an observer.
//! - `url`: the parts of a URL, `options`: those after the `?`, with the errors about them, and `encoded`: their text.
//! - `stores`: the options and the target of each scheme.
//! - [`ConnectError`]: what is wrong, and what is allowed.

#[cfg_attr(
    not(all(feature = "memory", feature = "file", feature = "memcached")),
    allow(dead_code, reason = "which parts are decoded depends on the stores that are compiled in")
)]
mod encoded;
mod error;
#[cfg_attr(
    not(all(feature = "memory", feature = "file", feature = "memcached")),
    allow(dead_code, reason = "which options are asked for depends on the stores that are compiled in")
)]
mod options;
mod stores;
#[cfg_attr(
    not(all(feature = "memory", feature = "file", feature = "memcached")),
    allow(dead_code, reason = "which parts are asked for depends on the stores that are compiled in")
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
/// | `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE` | [`SqlStore`](crate::SqlStore) | those of all SQL stores; `connections`, `schema`, `prepared_statements=yes\|no`, `sslmode`, `sslrootcert=PATH` |
/// | `mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE` | [`SqlStore`](crate::SqlStore) | those of all SQL stores; `connections`, `ssl-mode`, `ssl-ca=PATH` |
/// | `sqlite:PATH`, `sqlite::memory:` | [`SqlStore`](crate::SqlStore) | those of all SQL stores; `durability=none\|data\|full` |
///
/// All SQL stores take `create=yes|no` (creates or upgrades the table, and the file of SQLite), `table`, `timeout_ms`,
/// `sweep_interval_s` (0: never) and `cache`. `postgresql:` and `mariadb:` are other names.
///
/// `cache=N` puts a [`CachedStore`](crate::CachedStore) of N sessions in front, always validated; with 0 there is none.
/// The prefix of memcached keys is followed by a colon; the default is `session:`.
///
/// URLs end up in logs and process lists. So memcached takes no secrets from them: use the store's own builder. The
/// password of a database may be part of its URL, as is common, and no error repeats it. For PostgreSQL, it can be left
/// out and given by the variable `PGPASSWORD` or in libpq's password file.
///
/// # How a URL is read
///
/// URLs follow RFC 3986. The scheme may be in any case. Parts are percent-decoded (section 2.1): write `%23`, `%2F` and
/// `%20` for `#`, `/` and a space, if the characters themselves would have another meaning.
///
/// - `file:/var/lib/x`, `file:///var/lib/x` and `file://localhost/var/lib/x` name the same directory (RFC 8089).
///   `file:x` is a directory `x` in the process's working directory. `file://x/y` is refused, since `x` is in the place
///   of a host.
/// - `memcached://h1,h2:11212,[2001:db8::3]:11213,%2Frun%2Fmemcached.sock/shop` names two hosts, an IPv6 address, a
///   Unix socket, and the prefix `shop:`. Everything after the first `/` is the prefix, so
///   `memcached:///run/memcached.sock` is refused. An IPv6 address without brackets is refused, too.
/// - `postgres://bob:p%40ss@db.example:5433/shop?sslmode=verify-full` names a user, whose password is `p@ss`, and a
///   database. In the place of the host, `%2Frun%2Fpostgresql` is the directory of PostgreSQL's Unix socket, and
///   `%2Frun%2Fmysqld%2Fmysqld.sock` the socket of MySQL. User and database are not guessed.
/// - `sqlite:x.db` is a file in the process's working directory, `sqlite:/var/lib/x.db` and `sqlite:///var/lib/x.db` are
///   another one. `sqlite://x.db` is refused.
///
/// **No part is guessed.** These parts are refused, and the error shows what to write:
///
/// - an empty host, port, prefix after its `/`, member of a list, option or value;
/// - a part in the wrong place;
/// - a part that has another meaning elsewhere: `#`, `~`, `$HOME`, `;` between servers or options, `+` for a space, a
///   line break at the end.
///
/// To get a default, leave the part out together with its `/`, `:`, `,`, `?` or `&`.
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
/// If a part of the URL is wrong (the error names the part, what is allowed and the nearest valid name), if the store's
/// feature is not compiled in (the error names it), or if the store can't be opened (the error says why, in the
/// operating system's words if the system refused; its source is the store's own error).
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
