//! Sessions for tower and axum.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connect;
mod cookie;
mod error;
mod events;
#[cfg(feature = "axum")]
mod extract;
mod id;
#[cfg(feature = "encryption")]
pub mod keyring;
mod lifetime;
mod middleware;
pub mod record;
mod session;
mod store;

pub use erased_serde;

#[cfg(feature = "encryption")]
pub use self::keyring::{KeyId, KeyRing, KeyRingError, Secret, SecretError};
pub use self::{
    clock::Clock,
    codec::Codec,
    connect::{ConnectError, connect},
    cookie::{ConfigError, CookieConfig, CookiePrefix, SameSite},
    error::{Error, ErrorKind, Result},
    id::{Check, EntropyError, ParseIdError, SessionId, SessionToken},
    lifetime::{CookieLifetime, Lifetime, LifetimeError},
    middleware::{
        EmptyAnswer, FailureAnswer, LazySession, ResponseFuture, SessionHandle, SessionLayer, SessionLayerBuilder,
        SessionRejection, SessionRejectionKind, SessionService,
    },
    record::{Entries, Epoch, Owner, Record, RecordKind},
    session::{ConflictPolicy, DamagedPolicy, IntoKey, Key, SavePolicy, Session, Typed},
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
