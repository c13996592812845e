//! Sessions for [tower] and [axum]: a random token in the visitor's cookie, the data in a store on the server.
//!
//! ```
//! use axum::{Router, response::Redirect, routing::{get, post}};
//! use session_layer::{Error, Key, LazySession, MemoryStore, Session, SessionLayer, SessionStore};
//! use tokio::signal::{ctrl_c, unix::{SignalKind, signal}};
//! use tower_http::csrf::CsrfLayer;
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn home(session: Session) -> Result<String, Error> {
//!     let visits = session.update(VISITS, |n| { *n += 1; *n })?; // runs again if another request got in between
//!     Ok(format!("visit {visits}"))
//! }
//!
//! async fn sign_in(session: Session) -> Result<Redirect, Error> {
//!     // Check the password here.
//!     session.login("bob")?; // new token and id: a planted token is worth nothing
//!     Ok(Redirect::to("/"))
//! }
//!
//! async fn sign_out(session: LazySession) -> Result<Redirect, Error> {
//!     session.destroy().await?;
//!     Ok(Redirect::to("/"))
//! }
//!
//! async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = MemoryStore::new(); // stores and layers are cheap clones
//!     let sessions = SessionLayer::new(store.clone());
//!     let app = Router::new()
//!         .route("/", get(home))
//!         .route("/sign-in", post(sign_in))
//!         .route("/sign-out", post(sign_out))
//!         .layer(sessions.clone())
//!         .layer(CsrfLayer::new()); // rejects forms sent by other sites
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     let mut terminate = signal(SignalKind::terminate())?; // Unix only; elsewhere, handle Ctrl-C alone
//!     let stop = async move { tokio::select! { _ = ctrl_c() => {}, _ = terminate.recv() => {} } };
//!     axum::serve(listener, app).with_graceful_shutdown(stop).await?;
//!     sessions.drain().await; // commits whose clients have gone
//!     Ok(store.close().await?) // writes a last snapshot, if snapshots are configured
//! }
//! # let _ = serve;
//! ```
//!
//! For development over plain HTTP the cookie must not be `Secure`: see [`CookieConfig::secure`]. `SameSite=Lax` does
//! not stop login CSRF by a form on another site, since that form needs no cookie; `tower_http::csrf` (0.7, feature
//! `csrf`) does.
//!
//! # What holds
//!
//! - No lost update: concurrent requests' changes are merged key by key, and `update` closures run again. Setting a key
//!   that this request has read and another has changed since is a conflict (409). Setting a key without having read it
//!   overwrites the other's value.
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
//! | a store | [`MemoryStore`], [`FileStore`], [`MemcachedStore`], or by URL: [`connect()`] (feature `url`) |
//! | protection and speed | [`EncryptedStore`], [`KeyRing`], [`CachedStore`] |
//! | sessions from outside a request, and an owner's | [`Sessions`] |
//! | requests one at a time, sessions limited | [`exclusive`](SessionLayerBuilder::exclusive), [`sessions_per_owner`](SessionLayerBuilder::sessions_per_owner) |
//! | what happens, as events and metrics | [`Observer`], [`EventKind`], `MetricsObserver` |
//! | a store of one's own | [`SessionStore`], [`conformance`] |
//! | without axum | [`SessionHandle`] |
//!
//! # Events
//!
//! What happens to sessions is told from one place to two sides, and neither ever has a token or an entry's value:
//!
//! - to [observers](Observer) of the application, given to the layer ([`SessionLayerBuilder::observe`]), to [`Sessions`]
//!   and to stores: typed, with the record where whoever tells has it, and each call of the store with its duration.
//!   `MetricsObserver` (feature `metrics`) makes metrics of it. Who has none pays a comparison for each event, and no clock is read;
//! - through [`tracing`](https://docs.rs/tracing), with `session.id` where there is one. At debug level there are spans,
//!   `session load` and `session commit`.
//!
//! | target | level | event | further fields | observers get |
//! |---|---|---|---|---|
//! | `session_layer::session` | trace | `session loaded` | | [`Loaded`](EventKind::Loaded) |
//! | `session_layer::session` | trace | `no session` | `reason`: no cookie | [`NoSession`](EventKind::NoSession) |
//! | `session_layer::session` | debug | `no session` | `reason`: malformed, unknown, expired, superseded, revoked | [`NoSession`](EventKind::NoSession) |
//! | `session_layer::session` | warn | `a session cookie that no key of the ring signed` | `reason`: forged | [`NoSession`](EventKind::NoSession) |
//! | `session_layer::session` | debug | `session created` | `login` | [`Created`](EventKind::Created) |
//! | `session_layer::session` | debug | `session saved` | | [`Saved`](EventKind::Saved) |
//! | `session_layer::session` | debug | `session touched` | | [`Touched`](EventKind::Touched) |
//! | `session_layer::session` | debug | `session renewed` | `session.previous_id`, `login` | [`Renewed`](EventKind::Renewed) |
//! | `session_layer::session` | debug | `session destroyed` | | [`Destroyed`](EventKind::Destroyed) |
//! | `session_layer::session` | info | `conflicting changes merged` | `tries` | [`ConflictMerged`](EventKind::ConflictMerged) |
//! | `session_layer::session` | warn | `write to a session that is gone was blocked` | `why` | [`WriteBlocked`](EventKind::WriteBlocked) |
//! | `session_layer::session` | warn | `two live session cookies` | `session.other_id` | [`TwoLiveCookies`](EventKind::TwoLiveCookies) |
//! | `session_layer::session` | warn | `unsaved changes dropped` | `reason` | [`ChangesDropped`](EventKind::ChangesDropped) |
//! | `session_layer::session` | error | `a handler answered with a session error` | `error` | [`HandlerFailed`](EventKind::HandlerFailed) |
//! | `session_layer::session` | warn | `touch failed` | `error` | [`TouchFailed`](EventKind::TouchFailed) |
//! | `session_layer::session` | error | `session not loaded` | `error` | [`LoadFailed`](EventKind::LoadFailed) |
//! | `session_layer::session` | error | `session not committed` | `error` | [`CommitFailed`](EventKind::CommitFailed) |
//! | `session_layer::session` | error | `session record can't be opened` | `error` | [`Damaged`](EventKind::Damaged) |
//! | `session_layer::sessions` | debug | `an owner's sessions revoked` | `removed` | [`OwnerRevoked`](EventKind::OwnerRevoked) |
//! | `session_layer::sessions` | debug | `an owner's other sessions revoked` | `removed` | [`OwnerRevoked`](EventKind::OwnerRevoked) |
//! | `session_layer::sessions` | debug | `a session of an owner ended` | | [`Destroyed`](EventKind::Destroyed) |
//! | `session_layer::session` | info | `session in use by another request` | `reason`: too many wait, waited too long | [`TurnRefused`](EventKind::TurnRefused) |
//! | `session_layer::session` | warn | `lease not given back: it runs out at its time` | `error` | [`ReleaseFailed`](EventKind::ReleaseFailed) |
//! | `session_layer::sessions` | warn | `login refused: its owner has as many sessions as are allowed` | `most` | [`LoginRefused`](EventKind::LoginRefused) |
//! | `session_layer::sessions` | debug | `a session of an owner ended to make room` | | [`Destroyed`](EventKind::Destroyed) |
//! | `session_layer::sessions` | debug | `a session of an owner ended: one too many` | | [`Destroyed`](EventKind::Destroyed) |
//! | `session_layer::sessions` | warn | `an owner's sessions not counted again` | `error` | |
//! | `session_layer::sessions` | warn | `a session too many could not be ended` | `error` | |
//! | `session_layer::layer` | warn | `two session layers with one cookie name` | `cookie` | [`NestedLayer`](EventKind::NestedLayer) |
//! | `session_layer::layer` | warn | `a session was created over plain HTTP` | `cookie` | [`SecureCookieOverHttp`](EventKind::SecureCookieOverHttp) |
//! | `session_layer::layer` | error | `a handler asked for a session where no SessionLayer wraps its route` | | |
//! | `session_layer::observer` | error | `an observer panicked` | `event` | |
//!
//! Each store's documentation has a table of its own `tracing` events. Observers get [`Evicted`](EventKind::Evicted),
//! [`Expired`](EventKind::Expired), [`Swept`](EventKind::Swept), [`NotOpened`](EventKind::NotOpened) and the cache's from
//! the stores that they are given to, and [`Operation`](EventKind::Operation) of every call of a store.
//!
//! Whether a session of an unknown token has expired only a store in this process's memory can tell, until it has swept
//! it; elsewhere the reason is `unknown`.
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
//! | `url` | | [`connect()`]: a store from a URL, chosen at run time |
//! | `metrics` | | `MetricsObserver`: what happens, as metrics of the [`metrics`](https://docs.rs/metrics) facade |
//! | `conformance` | | the kit for authors of stores |
//! | `full` | | all of them but `memcached-tls`, `metrics` and `conformance` |
//!
//! Features only add: none changes a signature.
//!
//! [tower]: https://docs.rs/tower
//! [axum]: https://docs.rs/axum
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admin;
mod clock;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "url")]
mod connect;
mod cookie;
mod error;
pub mod events;
#[cfg(feature = "axum")]
mod extract;
pub mod id;
#[cfg(feature = "encryption")]
pub mod keyring;
mod lifetime;
pub mod middleware;
pub mod record;
mod session;
pub mod store;

pub use erased_serde;

#[cfg(feature = "url")]
pub use self::connect::{ConnectError, connect, connect_observed};
#[cfg(feature = "metrics")]
pub use self::events::MetricsObserver;
#[cfg(feature = "encryption")]
pub use self::keyring::{KeyRing, Secret};
#[cfg(any(feature = "file", feature = "sqlite"))]
pub use self::store::Durability;
#[cfg(feature = "encryption")]
pub use self::store::EncryptedStore;
#[cfg(feature = "file")]
pub use self::store::FileStore;
#[cfg(feature = "memcached")]
pub use self::store::MemcachedStore;
#[cfg(feature = "memory")]
pub use self::store::MemoryStore;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub use self::store::SqlStore;
pub use self::{
    admin::{DEVICE, OwnedSession, Sessions},
    clock::Clock,
    codec::Codec,
    cookie::{ConfigError, CookieConfig, CookiePrefix, SameSite},
    error::{Error, ErrorKind, Result},
    events::{Event, EventKind, Observer},
    id::SessionId,
    lifetime::{CookieLifetime, Lifetime, LifetimeError},
    middleware::{LazySession, SessionHandle, SessionLayer, SessionLayerBuilder},
    session::{
        AtLimit, ConflictPolicy, DamagedPolicy, InsertKey, IntoKey, Key, ResponseHead, SavePolicy, Session, Typed,
    },
    store::{CachedStore, DynStore, ObservedStore, SessionStore},
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

    /// Opens bytes as a sealed record, and seals that were tampered with as the bytes say.
    #[cfg(feature = "encryption")]
    pub fn sealed_record(data: &[u8]) {
        crate::store::fuzz_sealed(data);
    }

    /// Reads bytes as a signed cookie's value, and values that were tampered with as the bytes say.
    #[cfg(feature = "encryption")]
    pub fn signed_cookie(data: &[u8]) {
        crate::cookie::seal::fuzz(data);
    }

    /// Reads lines of bytes as `Cookie` headers.
    pub fn cookie_header(data: &[u8]) {
        crate::cookie::fuzz_header(data);
    }

    /// Restores bytes as a memory store's snapshot and as its journal.
    #[cfg(feature = "memory")]
    pub fn snapshot(data: &[u8]) {
        crate::store::memory::fuzz_snapshot(data);
    }

    /// Changes bytes as three of `data` say at a time: a place and what is flipped there. The last two may cut it off.
    pub(crate) fn tamper(bytes: &mut Vec<u8>, data: &[u8]) {
        let (edits, rest) = data.as_chunks::<3>();
        for &[low, high, flip] in edits {
            let at = usize::from(u16::from_le_bytes([low, high]));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= flip;
            }
        }
        if let &[low, high] = rest {
            bytes.truncate(usize::from(u16::from_le_bytes([low, high])));
        }
    }
}
