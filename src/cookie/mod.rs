//! Reads and writes the session cookie. Nothing here depends on a store.
//!
//! - [`CookieConfig`]: its name, [prefix](CookiePrefix) and attributes, checked against each other.
//! - `session_cookie`: the cookie as configured.
//! - `read`: the tokens in a request's `Cookie` lines.
//! - `write`: the `Set-Cookie` line, and its removal.
//! - `scope`: the paths and domains that a request's cookie can have.
//! - `signing`: which values are accepted, signed or not.
//! - `signature`: the signed form of a value, with a key ring (feature `encryption`).

mod config;
mod prefix;
mod read;
mod scope;
mod session_cookie;
#[cfg(feature = "encryption")]
mod signature;
mod signing;
mod write;

pub use ::cookie::SameSite;

#[cfg(fuzzing)]
pub(crate) use self::read::fuzz as fuzz_header;
#[cfg(all(fuzzing, feature = "encryption"))]
pub(crate) use self::signature::fuzz as fuzz_signed;
pub use self::{
    config::{ConfigError, CookieConfig},
    prefix::CookiePrefix,
};
pub(crate) use self::{
    read::{Tokens, read},
    session_cookie::SessionCookie,
};
