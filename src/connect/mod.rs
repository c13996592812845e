//! Opens a store from a URL, so that the store can be chosen at run time.
//!
//! - [`connect`], and [`connect_observed`], which also reports the store's events to an observer.
//! - `url`: the parts of a URL. `options`: the options after the `?`, and the errors about them. `encoded`: the
//!   percent-encoded text of both.
//! - `stores`: the options and the target of each scheme.
//! - [`ConnectError`]: the error. It says what is wrong and what is allowed.

#[expect(clippy::module_inception, reason = "the file has the function `connect`")]
mod connect;
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

pub use self::{
    connect::{connect, connect_observed},
    error::ConnectError,
};
