//! The router and the layer.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, FromRef},
    middleware,
    routing::{any, get, post},
};
use session_layer::{
    ConfigError, CookieConfig, DynStore, KeyRing, Lifetime, LifetimeError, MetricsObserver, SessionLayer, Sessions,
    middleware::CustomErrorResponse,
};

use crate::{
    api,
    args::Args,
    error,
    figures::{Board, Figures},
    log, origin, page, shop,
};

/// The largest body, in bytes. A record holds at most half as much.
const MAX_BODY: usize = 256 * 1024;
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// With `--exclusive`, how long a request waits for its turn.
pub(crate) const TURN: Duration = Duration::from_secs(10);

/// A layer that answers with this demo's JSON if a session can't be committed.
pub(crate) type Layer = SessionLayer<CustomErrorResponse<Body>>;

/// The lifetimes of sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) usual: Lifetime,
    /// The lifetime of a login with "remember me".
    pub(crate) remembered: Lifetime,
}

impl Lifetimes {
    pub(crate) fn new(args: &Args) -> Result<Self, LifetimeError> {
        let remembered = Lifetime::new(REMEMBERED, REMEMBERED)?.persistent();
        Ok(Self { usual: args.lifetime()?, remembered })
    }
}

/// The state that handlers use besides the session.
#[derive(Clone, FromRef)]
struct State {
    lifetimes: Lifetimes,
    /// All sessions, for those on a visitor's other devices, which are not in the request.
    sessions: Sessions,
    board: Board,
}

/// Builds the layer. With a key ring, the cookie is signed.
pub(crate) fn layer(
    args: &Args,
    store: DynStore,
    ring: Option<KeyRing>,
    lifetimes: Lifetimes,
    observers: (Arc<Figures>, MetricsObserver),
) -> Result<Layer, ConfigError> {
    // Not `secure(true)`, so that the layer warns if a `Secure` cookie can't come back.
    let cookie = if args.plain_http { CookieConfig::default().secure(false) } else { CookieConfig::default() };
    let mut builder = SessionLayer::builder(store)
        .cookie(cookie)
        .lifetime(lifetimes.usual)
        .observe(observers)
        .error_response(error::of_session);
    if args.exclusive {
        builder = builder.exclusive(TURN);
    }
    match ring {
        Some(ring) => builder.sign(ring).build(),
        None => builder.build(),
    }
}

pub(crate) fn router(layer: Layer, lifetimes: Lifetimes, board: Board) -> Router {
    let state = State { lifetimes, sessions: layer.sessions(), board };
    Router::new()
        .route("/", get(page::home))
        .route("/devices", get(page::devices))
        .route("/devices/end-others", post(page::end_others))
        .route("/devices/{id}/end", post(page::end_device))
        .route("/login", post(shop::log_in))
        .route("/logout", post(shop::log_out))
        .route("/cart", post(shop::add_to_cart))
        .route("/api/session", get(api::session))
        .route("/api/entries/", any(api::no_key))
        .route("/api/entries/{key}", get(api::read).put(api::write).delete(api::remove))
        .route("/api/counters/", any(api::no_key))
        .route("/api/counters/{key}", post(api::count))
        .route("/api/devices", get(api::devices))
        .route("/api/devices/revoke-others", post(api::revoke_others))
        .route("/api/devices/{id}/revoke", post(api::revoke))
        .route("/operator", get(page::operator))
        .route("/api/figures", get(api::figures))
        .route("/metrics", get(api::metrics))
        .route("/api/untouched", get(api::untouched))
        .route("/api/fail", get(api::fail))
        .route("/healthz", get(async || "ok"))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(layer)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // Outside the session layer, so that no session is looked up for a refused request.
        .layer(middleware::from_fn(origin::check))
        .layer(middleware::from_fn(log::requests))
        .with_state(state)
}
