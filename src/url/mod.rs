//! Store URLs: `scheme:target?name=value&…`, read strictly.
//!
//! - `parts`: the parts of a URL, `options`: those after the `?`, and `encoded`: their text.
//! - [`UrlError`]: what is wrong, and what to write.
//!
//! What the target and the options mean is for the store to say.

#![cfg_attr(
    not(all(
        feature = "memory",
        feature = "file",
        feature = "memcached",
        feature = "redis",
        feature = "postgres",
        feature = "mysql",
        feature = "url"
    )),
    allow(dead_code, unused_imports, reason = "which parts are read depends on the stores that are compiled in")
)]

mod encoded;
mod error;
mod options;
mod parts;

pub(crate) use self::{
    encoded::{decode, decode_secret, path},
    error::{UrlError, hint},
    options::Options,
    parts::StoreUrl,
};
