//! Reads and writes the session cookie. Nothing here depends on a store.
//!
//! - [`CookieConfig`]: its name, [prefix](CookiePrefix) and attributes, checked against each other.
//! - `read`: the tokens in a request's `Cookie` lines.
//! - `write`: the `Set-Cookie` line, and its removal.
//! - `scope`: the paths and domains that a request's cookie can have.
//! - `seal`: the MAC over its value, with a key ring (feature `encryption`).

mod config;
mod prefix;
mod read;
mod scope;
#[cfg(feature = "encryption")]
pub(crate) mod seal;
mod write;

pub use ::cookie::SameSite;

#[cfg(fuzzing)]
pub(crate) use self::read::fuzz as fuzz_header;
pub use self::{
    config::{ConfigError, CookieConfig},
    prefix::CookiePrefix,
};
pub(crate) use self::{
    read::{Tokens, read},
    write::Cookie,
};
