//! The functions that open a store.

use std::sync::Arc;

use super::{error::ConnectError, stores};
use crate::{events::Observer, store::DynStore, url::StoreUrl};

/// Opens the store that a URL names.
///
/// | URL | store | options |
/// |---|---|---|
/// | `memory:` | [`MemoryStore`](crate::MemoryStore) | `capacity`, `bytes`, `snapshot=PATH`, `snapshot_interval_s`, `sweep_interval_s` |
/// | `file:DIR` | [`FileStore`](crate::FileStore) | `durability=none\|data\|full`, `create=yes\|no`, `sweep_interval_s` (0: never), `cache` |
/// | `memcached://HOST[:PORT],…[/PREFIX]` | [`MemcachedStore`](crate::MemcachedStore) | `timeout_ms`, `connect_timeout_ms`, `connections`, `list=ignore\|warn\|error`, `cache` |
/// | `redis://HOST[:PORT][/DATABASE]` | [`RedisStore`](crate::RedisStore) | `prefix`, `timeout_ms`, `connect_timeout_ms`, `connections`, `replicas`, `tracking_ms`, `cache` |
/// | `redis+unix:///PATH` | the same, by a Unix socket | the same, and `database` |
/// | `redis-cluster://HOST[:PORT],…` | the same, on a cluster; some of its nodes are enough | those of `redis` |
/// | `redis-sentinel://HOST[:PORT],…/NAME[/DATABASE]` | the same, on the primary that these Sentinels know by this name | those of `redis`, and `sentinel_user`, `sentinel_password` |
/// | `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE` | [`SqlStore`](crate::SqlStore) | those of all SQL stores; `connections`, `schema`, `prepared_statements=yes\|no`, `sslmode`, `sslrootcert=PATH` |
/// | `mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE` | the same | those of all SQL stores; `connections`, `ssl-mode`, `ssl-ca=PATH` |
/// | `sqlite:PATH`, `sqlite::memory:` | the same | those of all SQL stores; `durability=none\|data\|full` |
///
/// All SQL stores take `create=yes|no` (creates the table, and the file of SQLite, if it is missing), `table`,
/// `timeout_ms`, `sweep_interval_s` (0: never) and `cache`. `postgresql` stands for `postgres`, and `mariadb` for `mysql`.
///
/// `cache=N` puts a [`CachedStore`](crate::CachedStore) of N sessions in front, which always validates; 0 means no
/// cache. The prefix of memcached's and Redis's keys is followed by a colon; the default is `session:`.
///
/// `rediss`, `rediss-cluster` and `rediss-sentinel` are the same over TLS. They trust the system's root certificates, or
/// only those in the PEM file of the option `ca=PATH`. `valkey` stands for `redis` in all of these, and `valkeys` for
/// `rediss`.
///
/// User and password of Redis and of a database precede the servers: `redis://shop:s%2Fcret@10.0.0.1`, or `redis://:s%2Fcret@10.0.0.1`
/// for Redis's default user. For PostgreSQL, the password can be left out and given by the variable `PGPASSWORD` or in
/// libpq's password file. URLs end up in logs and process lists: read such a URL from a variable or a file that only the
/// application can read, or use the store's own builder. No error repeats a password. The other stores take no secrets
/// from URLs.
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
/// - `redis://h1/2?prefix=shop` names a host, its database 2, and the prefix `shop:`. `redis+unix:///run/redis.sock`
///   names a socket by its path.
/// - `postgres://bob:p%40ss@db.example:5433/shop?sslmode=verify-full` names a user, whose password is `p@ss`, and a
///   database. In the place of the host, `%2Frun%2Fpostgresql` is the directory of PostgreSQL's Unix socket, and
///   `%2Frun%2Fmysqld%2Fmysqld.sock` the socket of MySQL. User and database are not guessed.
/// - `sqlite:x.db` is a file in the process's working directory. `sqlite:/var/lib/x.db` and `sqlite:///var/lib/x.db` name
///   the same absolute path. `sqlite://x.db` is refused.
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

/// The same as [`connect`](connect()), with an observer of the store's own events: evictions, sweeps, hits and misses
/// of the cache.
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
/// The same as [`connect`](connect()).
pub async fn connect_observed(url: &str, observer: impl Observer) -> Result<DynStore, ConnectError> {
    stores::open(&StoreUrl::parse(url)?, Some(Arc::new(observer))).await
}
