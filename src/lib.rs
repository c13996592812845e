//! Sessions for tower and axum.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cookie;
mod error;
mod id;
#[cfg(feature = "encryption")]
pub mod keyring;
mod lifetime;
pub mod record;
mod store;

pub use erased_serde;

#[cfg(feature = "encryption")]
pub use self::keyring::{KeyId, KeyRing, KeyRingError, Secret, SecretError};
pub use self::{
    clock::Clock,
    codec::Codec,
    error::{Error, ErrorKind, Result},
    id::{Check, EntropyError, ParseIdError, SessionId, SessionToken},
    lifetime::{CookieLifetime, Lifetime, LifetimeError},
    record::{Entries, Epoch, Owner, Record, RecordKind},
    store::*,
};
