//! Sessions for [tower] and [axum]: a random token in the visitor's cookie, the data in a store on the server.
//!
//! ```
//! use axum::{Router, routing::get};
//! use session_layer::{Key, MemoryStore, Session, SessionLayer};
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn home(session: Session) -> Result<String, session_layer::Error> {
//!     let visits = session.update(VISITS, |n| { *n += 1; *n })?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! async fn sign_in(session: Session) -> Result<&'static str, session_layer::Error> {
//!     session.login("bob")?; // a new token: one that was planted before is worth nothing
//!     Ok("welcome")
//! }
//!
//! let store = MemoryStore::new(); // stores are cheap clones
//! let app: Router = Router::new()
//!     .route("/", get(home))
//!     .route("/sign-in", get(sign_in))
//!     .layer(SessionLayer::new(store.clone()));
//! ```
//!
//! # What holds
//!
//! - No lost update: changes of requests that run at once are merged key by key, and `update` closures run again.
//! - A logout is final: no request that was under way brings a session back.
//! - A store that is down is an error, never an anonymous session, and overwrites nothing.
//! - The token is in the cookie and nowhere else: stores, logs and `Debug` know an id derived from it one way.
//! - A visitor who stores nothing costs no write and gets no cookie; a handler that asks for no session, no load.
//!
//! `ARCHITECTURE.md` says how, and which settings give something up.
//!
//! # Where to go on
//!
//! | for | see |
//! |---|---|
//! | the layer and its settings | [`SessionLayer`], [`SessionLayerBuilder`], [`CookieConfig`], [`Lifetime`] |
//! | what handlers hold | [`Session`], [`Typed`], [`LazySession`], [`Key`] |
//! | a store | [`MemoryStore`], [`FileStore`], [`MemcachedStore`], or by URL: [`connect()`] |
//! | protection and speed | [`EncryptedStore`], [`KeyRing`], [`CachedStore`] |
//! | sessions from outside a request, and an owner's | [`Sessions`] |
//! | a store of one's own | [`SessionStore`], [`conformance`] |
//! | without axum | [`SessionHandle`] |
//!
//! # Events
//!
//! What happens to sessions is told through [`tracing`](https://docs.rs/tracing), with `session.id` and never a token or a value:
//!
//! | event | target | level |
//! |---|---|---|
//! | session loaded; no cookie | `session_layer::session` | trace |
//! | session created, saved, touched, renewed, destroyed | `session_layer::session` | debug |
//! | no session, with the reason: malformed, unknown, expired, superseded, revoked | `session_layer::session` | debug |
//! | conflicting changes merged | `session_layer::session` | info |
//! | forged cookie, two live cookies, write to a session that is gone blocked, unsaved changes dropped, touch failed | `session_layer::session` | warn |
//! | session not loaded or not committed, record can't be opened | `session_layer::session` | error |
//! | layer nested under its own name; a handler without a layer | `session_layer::layer` | warn; error |
//!
//! Each store's documentation has a table of its own events.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | extractors, and errors as responses |
//! | `memory` | yes | [`MemoryStore`] |
//! | `file` | | [`FileStore`] |
//! | `memcached`, `memcached-tls` | | [`MemcachedStore`], and TLS to it |
//! | `encryption` | | [`KeyRing`], [`EncryptedStore`], signed cookies |
//! | `messagepack` | | [`Codec::MessagePack`] |
//! | `conformance` | | the kit for authors of stores |
//! | `full` | | all of them but `memcached-tls` and `conformance` |
//!
//! Features only add: none changes a signature.
//!
//! [tower]: https://docs.rs/tower
//! [axum]: https://docs.rs/axum
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
mod sessions;
mod store;

pub use erased_serde;

#[cfg(feature = "metrics")]
pub use self::events::MetricsObserver;
#[cfg(feature = "encryption")]
pub use self::keyring::{KeyId, KeyRing, KeyRingError, Secret, SecretError};
pub use self::{
    clock::Clock,
    codec::Codec,
    connect::{ConnectError, connect, connect_observed},
    cookie::{ConfigError, CookieConfig, CookiePrefix, SameSite},
    error::{Error, ErrorKind, Result},
    events::{Event, EventKind, NoSessionReason, Observer, Outcome},
    id::{Check, EntropyError, ParseIdError, SessionId, SessionToken},
    lifetime::{CookieLifetime, Lifetime, LifetimeError},
    middleware::{
        EmptyAnswer, FailureAnswer, LazySession, ResponseFuture, SessionHandle, SessionLayer, SessionLayerBuilder,
        SessionRejection, SessionRejectionKind, SessionService,
    },
    record::{Entries, Epoch, Owner, Record, RecordKind},
    session::{ConflictPolicy, DamagedPolicy, IntoKey, Key, SavePolicy, Session, Typed},
    sessions::{AtLimit, DEVICE, OwnedSession, SessionIds, SessionLock, Sessions},
    store::*,
};

/// The README's code, compiled as a doc test.
#[cfg(all(doctest, feature = "axum", feature = "memory"))]
#[doc = include_str!("../README.md")]
mod readme {}

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
