//! The schemes and their options.
//!
//! - `open`: opens the store of a URL's scheme.
//! - `memory`, `file`, `memcached`, `redis`, `sql`: the options and the target of each scheme.
//! - `local`: the path of a file or a directory.
//! - `cached`: puts a cache in front of a store if the URL asks for one.

#[cfg(any(
    feature = "file",
    feature = "memcached",
    feature = "redis",
    feature = "postgres",
    feature = "mysql",
    feature = "sqlite"
))]
mod cached;
#[cfg(feature = "file")]
mod file;
#[cfg(any(feature = "file", feature = "sqlite"))]
mod local;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "memory")]
mod memory;
mod observer;
mod open;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod sql;

pub(super) use self::open::open;
