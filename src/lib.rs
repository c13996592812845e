//! Sessions for tower and axum.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod id;
mod lifetime;
pub mod record;
mod store;

pub use erased_serde;

pub use self::{
    clock::Clock,
    codec::Codec,
    error::{Error, ErrorKind, Result},
    id::{Check, EntropyError, ParseIdError, SessionId, SessionToken},
    lifetime::{CookieLifetime, Lifetime, LifetimeError},
    record::{Entries, Epoch, Owner, Record, RecordKind},
    store::*,
};

/// What the fuzz targets call; only with `--cfg fuzzing`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// Reads bytes as memcached's replies.
    #[cfg(feature = "memcached")]
    pub fn memcached_reply(data: &[u8]) {
        crate::store::memcached::fuzz_reply(data);
    }
}
