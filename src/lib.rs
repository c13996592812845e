//! Sessions for [tower] and [axum]: a random token in the visitor's cookie, the data in a store on the server.
//!
//! [`SessionLayer`] wraps the router, and handlers take a [`Session`]. The data is in memory ([`MemoryStore`]), in
//! files ([`FileStore`]), in memcached ([`MemcachedStore`]), in an SQL database ([`SqlStore`]), or in a
//! [custom store](SessionStore). Concurrent requests lose no updates, and a logout is final.
//!
//! After the example: [guarantees](#guarantees), [an index of the crate](#where-to-go-next),
//! [coming from tower-sessions](#coming-from-tower-sessions), [events](#events) and [features](#features).
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
//!     // Runs again if another request changed it meanwhile, so every visit counts. `visits` is the first run's result: two
//!     // requests at once may show the same number. `update_now(..).await` returns the stored one.
//!     let visits = session.update(VISITS, |n| { *n += 1; *n })?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! async fn sign_in(session: Session) -> Result<Redirect, Error> {
//!     // Check the password here.
//!     session.login("bob")?; // new token and id: a planted token is worthless
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
//! Over plain HTTP, during development, the cookie must not be `Secure`: see [`CookieConfig::secure`]. `SameSite=Lax`
//! does not stop login CSRF: a login form on another site needs no cookie. `tower_http::csrf` (0.7, feature `csrf`)
//! stops it.
//!
//! # Guarantees
//!
//! - **No lost update.** Changes of concurrent requests are merged key by key, and `update` closures run again.
//!   Setting a key that this request has read and another has changed since is a conflict (409). Setting a key without
//!   having read it overwrites the other request's value.
//! - **A logout is final.** No request that was under way brings the session back.
//! - **Unavailable is not absent.** If the store is down, the request fails. It never gets an anonymous session, and
//!   nothing is overwritten.
//! - **The token is in the cookie and nowhere else.** Stores, logs and `Debug` output have only an id, which is derived
//!   from the token one way.
//! - **Visitors without data cost nothing.** No write and no cookie, and no load unless a handler asks for the session.
//!
//! If a setting gives up one of these, its documentation says so. `ARCHITECTURE.md` says how they are kept.
//!
//! # Where to go next
//!
//! | for | see |
//! |---|---|
//! | the layer and its settings | [`SessionLayer`], [`SessionLayerBuilder`], [`CookieConfig`], [`Lifetime`] |
//! | sessions in handlers | [`Session`], [`Typed`], [`LazySession`], [`Key`] |
//! | stores | [`MemoryStore`], [`FileStore`], [`MemcachedStore`], [`RedisStore`], [`SqlStore`], or by URL: [`connect()`] (feature `url`) |
//! | encryption and caching | [`EncryptedStore`], [`KeyRing`], [`CachedStore`] |
//! | sessions outside a request, and the sessions of one owner | [`Sessions`] |
//! | one request of a session at a time | [`exclusive`](SessionLayerBuilder::exclusive) |
//! | a limit of sessions per owner | [`sessions_per_owner`](SessionLayerBuilder::sessions_per_owner) |
//! | events and metrics | [`Observer`], [`EventKind`], `MetricsObserver` |
//! | a custom store | [`SessionStore`], [`conformance`] |
//! | use without axum | [`SessionHandle`] |
//!
//! # Coming from tower-sessions
//!
//! As of tower-sessions 0.15. Both cookies and stored records have other formats, so visitors begin with new sessions.
//!
//! | tower-sessions | here |
//! |---|---|
//! | `SessionManagerLayer::new(store)` | [`SessionLayer::new`], or [`SessionLayer::builder`] for settings |
//! | `Session` loads at the first call | [`Session`] loads when it is extracted, so a store that is down rejects the request with 503. `Result<Session, Error>` leaves that to the handler, and [`LazySession`] loads only if it is used. |
//! | `insert(..).await`, `get(..).await` | [`insert`](Session::insert), [`get`](Session::get): without `.await` |
//! | `remove::<T>` (returns the value) | [`take`](Session::take). [`remove`](Session::remove) returns only whether there was one. |
//! | `get_value`, `insert_value`, `remove_value` | `get`, `insert` and `take` with `serde_json::Value` |
//! | `get`, then `insert` | [`update`](Session::update), which loses no concurrent change |
//! | `clear`: empties the data, and with it a login that is stored there | [`clear`](Session::clear) empties the data, and the owner stays logged in. It is no logout. |
//! | `flush`, `delete` | [`destroy`](Session::destroy), or [`destroy_now`](Session::destroy_now) to end it at once |
//! | `cycle_id` at a login | [`login`](Session::login), which takes the user's name or id |
//! | `cycle_id` otherwise | [`renew`](Session::renew) |
//! | `save`, `load` | [`save`](Session::save), [`reload`](Session::reload) |
//! | `id()`: the secret in the cookie | [`id()`](Session::id): safe to log, since no cookie can be made from it |
//! | `with_expiry`, `set_expiry` | [`lifetime`](SessionLayerBuilder::lifetime), [`set_lifetime`](Session::set_lifetime) with a [`Lifetime`]: an idle and an absolute limit |
//! | `Expiry::OnSessionEnd` (on the server: two weeks) | the default: the cookie ends with the browser, the session after 1 h idle or 24 h |
//! | `Expiry::OnInactivity(time)`, counted from the last write | [`Lifetime::new(time, absolute)`](Lifetime::new), counted from the last use. With [`persistent`](Lifetime::persistent), the browser keeps the cookie when it is closed. |
//! | `Expiry::AtDateTime(time)` | the absolute limit, from the session's creation or login on |
//! | `expiry_date`, `expiry_age` | [`expires_at`](Session::expires_at) |
//! | `with_always_save(true)` | rarely needed, since reads extend a session: [`save_policy`](SessionLayerBuilder::save_policy) with [`SavePolicy::Always`] |
//! | `with_name`, `with_secure`, `with_same_site`, … | [`cookie`](SessionLayerBuilder::cookie) with a [`CookieConfig`] |
//! | `with_signed(key)` | [`sign`](SessionLayerBuilder::sign) (feature `encryption`); the token is random, so this only saves store calls for forged ones |
//! | `with_private(key)` | not needed, since the cookie contains nothing but the random token. [`EncryptedStore`] encrypts the data. |
//! | `CachingSessionStore` | [`CachedStore`] |
//! | `ExpiredDeletion::continuously_delete_expired` | not needed: the stores sweep by themselves. [`Sessions::sweep`] does it at once. |
//! | `impl SessionStore` | [`SessionStore`]: `load`, `create`, `update` by version instead of `save`, `touch`, and `remove` instead of `delete`. [`conformance`] tests it. |
//!
//! # Events
//!
//! Events of sessions go to two places. Neither ever receives a token or an entry's value.
//!
//! - [Observers](Observer) of the application receive typed events, with the record when available, and each store call
//!   with its duration. Give them to the layer ([`SessionLayerBuilder::observe`]), to [`Sessions`] and to stores.
//!   `MetricsObserver` (feature `metrics`) turns events into metrics. Without observers, an event costs one comparison,
//!   and no clock is read.
//! - [`tracing`](https://docs.rs/tracing) receives the events in the table below, with the field `session.id` where
//!   there is a session. At debug level it also has the spans `session load` and `session commit`.
//!
//! | target | level | event | further fields | observers get |
//! |---|---|---|---|---|
//! | `session_layer::session` | trace | `session loaded` | | [`Loaded`](EventKind::Loaded) |
//! | `session_layer::session` | trace | `no session` | `reason`: no cookie | [`NoSession`](EventKind::NoSession) |
//! | `session_layer::session` | debug | `no session` | `reason`: malformed, unknown, expired, superseded, revoked | [`NoSession`](EventKind::NoSession) |
//! | `session_layer::session` | warn | `session cookie not signed by any key of the ring` | `reason`: forged | [`NoSession`](EventKind::NoSession) |
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
//! | `session_layer::sessions` | warn | `an owner's sessions could not be listed: revoked sessions expire unused` | `error` | |
//! | `session_layer::sessions` | warn | `revoked sessions not removed: they expire unused` | `error` | |
//! | `session_layer::sessions` | warn | `revoked session not removed: it expires unused` | `error` | |
//! | `session_layer::sessions` | warn | `lease not given back` | `error` | |
//! | `session_layer::session` | info | `session in use by another request` | `reason`: too many requests are waiting, timed out waiting | [`TurnRefused`](EventKind::TurnRefused) |
//! | `session_layer::session` | warn | `lease not given back: it ends when it expires` | `error` | [`ReleaseFailed`](EventKind::ReleaseFailed) |
//! | `session_layer::sessions` | warn | `login refused: its owner has the maximum number of sessions` | `most` | [`LoginRefused`](EventKind::LoginRefused) |
//! | `session_layer::sessions` | debug | `ended a session of an owner to make room` | | [`Destroyed`](EventKind::Destroyed) |
//! | `session_layer::sessions` | debug | `ended a surplus session of an owner` | | [`Destroyed`](EventKind::Destroyed) |
//! | `session_layer::sessions` | warn | `could not count an owner's sessions again` | `error` | |
//! | `session_layer::sessions` | warn | `could not end a surplus session` | `error` | |
//! | `session_layer::layer` | warn | `two session layers with one cookie name` | `cookie` | [`NestedLayer`](EventKind::NestedLayer) |
//! | `session_layer::layer` | warn | `a session was created over plain HTTP` | `cookie` | [`SecureCookieOverHttp`](EventKind::SecureCookieOverHttp) |
//! | `session_layer::layer` | error | `a handler extracted a session, but no SessionLayer wraps its route` | | |
//! | `session_layer::observer` | error | `an observer panicked` | `event` | |
//!
//! The `tracing` events of each store are in a table in that store's documentation. An observer that is given to a
//! store receives [`Evicted`](EventKind::Evicted), [`Expired`](EventKind::Expired), [`Swept`](EventKind::Swept),
//! [`NotOpened`](EventKind::NotOpened) and the events of a cache. An observer that is given to a layer or to
//! [`Sessions`] receives [`Operation`](EventKind::Operation) for every store call.
//!
//! If a record can't be opened, a layer and its store report it separately. [`Damaged`](EventKind::Damaged) is the layer's
//! event: a request has brought the token of such a session. [`NotOpened`](EventKind::NotOpened) is the event of the store
//! that reads the record, [`FileStore`], [`SqlStore`] or [`EncryptedStore`], at any operation, including those of jobs, and names that
//! operation. An observer that is given to both receives both.
//!
//! The reason `expired` comes only from a store in this process's memory, until it has swept the session. Other stores
//! can't tell whether the session has expired or never existed, so the reason is `unknown`.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `axum` | yes | extractors, and errors as responses |
//! | `memory` | yes | [`MemoryStore`] |
//! | `file` | | [`FileStore`] |
//! | `memcached`, `memcached-tls` | | [`MemcachedStore`], and TLS connections to memcached |
//! | `redis`, `redis-tls` | | [`RedisStore`], on Redis or Valkey, and TLS connections to them |
//! | `postgres`, `mysql`, `sqlite` | | [`SqlStore`], in PostgreSQL, in MySQL or MariaDB, in a file of SQLite |
//! | `encryption` | | [`KeyRing`], [`EncryptedStore`], signed cookies |
//! | `messagepack` | | [`Codec::MessagePack`] |
//! | `url` | | [`connect()`]: a store from a URL, chosen at run time |
//! | `metrics` | | `MetricsObserver`: events as metrics, through the [`metrics`](https://docs.rs/metrics) facade |
//! | `conformance` | | the test kit for authors of stores |
//! | `full` | | all features except `memcached-tls`, `redis-tls`, `metrics` and `conformance` |
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
pub mod guide;
pub mod id;
#[cfg(feature = "encryption")]
pub mod keyring;
mod lifetime;
pub mod middleware;
pub mod record;
mod session;
pub mod store;
#[cfg(any(feature = "url", feature = "redis"))]
mod url;

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
#[cfg(feature = "redis")]
pub use self::store::RedisStore;
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

/// Entry points of the fuzz targets, compiled with `--cfg fuzzing` only.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// Reads bytes as memcached's replies.
    #[cfg(feature = "memcached")]
    pub fn memcached_reply(data: &[u8]) {
        crate::store::memcached::fuzz_reply(data);
    }

    /// Opens bytes as a sealed record, and opens valid seals after tampering with them as the bytes say.
    #[cfg(feature = "encryption")]
    pub fn sealed_record(data: &[u8]) {
        crate::store::fuzz_sealed(data);
    }

    /// Reads bytes as a signed cookie's value, and reads valid values after tampering with them as the bytes say.
    #[cfg(feature = "encryption")]
    pub fn signed_cookie(data: &[u8]) {
        crate::cookie::fuzz_signed(data);
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

    /// Flips bits of `bytes`. Each three bytes of `data` are a position (little-endian `u16`) and the bits to flip
    /// there. If two bytes of `data` remain, they are the length to which `bytes` is truncated.
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
