//! The schemes and their options.
//!
//! - `open`: opens the store of a URL's scheme.
//! - `memory`, `file`, `memcached`, `redis`: the options and the target of each scheme.
//! - `cached`: puts a cache in front of a store if the URL asks for one.

#[cfg(any(feature = "file", feature = "memcached", feature = "redis"))]
mod cached;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "memory")]
mod memory;
mod observer;
mod open;
#[cfg(feature = "redis")]
mod redis;

pub(super) use self::open::open;
