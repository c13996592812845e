//! Opens a store from a URL, so that the store can be chosen at run time.
//!
//! - [`connect`], and [`connect_observed`], which also reports the store's events to an observer.
//! - `stores`: the options and the target of each scheme.
//! - [`ConnectError`]: the error. It says what is wrong and what is allowed.

#[expect(clippy::module_inception, reason = "the file has the function `connect`")]
mod connect;
mod error;
mod stores;

pub use self::{
    connect::{connect, connect_observed},
    error::ConnectError,
};
