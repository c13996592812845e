//! The builder of a layer.

use std::{fmt, sync::Arc, time::Duration};

use http::Response;

use super::{given_times::GivenTimes, signing::Signing};
use crate::{
    clock::Clock,
    codec::Codec,
    cookie::CookieConfig,
    error::Error,
    events::{Observer, Observers},
    lifetime::Lifetime,
    middleware::{CustomErrorResponse, DefaultErrorResponse, SessionLayer},
    session::{ConflictPolicy, DamagedPolicy, ResponseHead, SaveIf, SavePolicy, Settings},
    store::{DynStore, SessionStore},
};

/// The settings of a [`SessionLayer`]. [`build`](Self::build) refuses settings that contradict each other.
///
/// ```
/// use std::time::Duration;
/// use session_layer::{ConflictPolicy, CookieConfig, Lifetime, MemoryStore, SessionLayer};
///
/// let layer = SessionLayer::builder(MemoryStore::new())
///     .cookie(CookieConfig::new("shop").domain("example.org"))
///     .lifetime(Lifetime::aal3())
///     .conflict_policy(ConflictPolicy::Reject)
///     .build()?;
/// # Ok::<(), session_layer::ConfigError>(())
/// ```
pub struct SessionLayerBuilder<R = DefaultErrorResponse> {
    pub(super) parts: Parts,
    pub(super) error_response: R,
}

/// The settings that do not depend on the error response.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) store: DynStore,
    pub(super) observers: Observers,
    pub(super) clock: Clock,
    pub(super) cookie: CookieConfig,
    pub(super) signing: Signing,
    pub(super) times: GivenTimes,
}

impl SessionLayer {
    /// Creates a layer over this store with the default settings: the cookie `__Host-sid`, one hour idle, 24 hours at
    /// most.
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        match Self::builder(store).build() {
            Ok(layer) => layer,
            Err(error) => unreachable!("the default settings contradict each other: {error}"),
        }
    }

    /// Returns a builder for a layer over this store with other settings.
    #[must_use]
    pub fn builder(store: impl SessionStore) -> SessionLayerBuilder {
        SessionLayerBuilder::new(store)
    }
}

impl SessionLayerBuilder {
    fn new(store: impl SessionStore) -> Self {
        let parts = Parts {
            settings: Settings::default(),
            store: DynStore::new(store),
            observers: Observers::NONE,
            clock: Clock::system(),
            cookie: CookieConfig::default(),
            signing: Signing::default(),
            times: GivenTimes::default(),
        };
        Self { parts, error_response: DefaultErrorResponse }
    }
}

impl<R> SessionLayerBuilder<R> {
    /// Sets the cookie's name, prefix and attributes. Default: `__Host-sid; Secure; HttpOnly; SameSite=Lax; Path=/`.
    #[must_use]
    pub fn cookie(mut self, cookie: CookieConfig) -> Self {
        self.parts.cookie = cookie;
        self
    }

    /// Sets the lifetime of sessions, unless [`set_lifetime`](crate::Session::set_lifetime) gave one another. Default:
    /// [`Lifetime::aal2`], one hour idle and 24 hours at most. [`Lifetime::aal1`] is 30 days with no shorter idle limit,
    /// and [`Lifetime::aal3`] is 15 minutes idle and 12 hours at most.
    #[doc(alias = "with_expiry")]
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.parts.settings.lifetime = lifetime;
        self
    }

    /// Sets the fraction of the idle timeout that must pass before a read extends the session: 0 to 1. Default: 0.1.
    /// With 0, every request touches the session. With 1, no read extends the session in time.
    ///
    /// If you change it and call a store's own [`delete_idle`](crate::store::Listing::delete_idle), pass the same
    /// value: see [`Idle`](crate::store::Idle). [`Sessions::delete_idle`](crate::Sessions::delete_idle) of this layer
    /// uses it automatically.
    #[must_use]
    pub fn touch_fraction(mut self, part_of_idle: f64) -> Self {
        self.parts.settings.touch_fraction = part_of_idle;
        self
    }

    /// Sets what happens if another request has changed the session meanwhile. Default: [`ConflictPolicy::Merge`].
    #[must_use]
    pub fn conflict_policy(mut self, policy: ConflictPolicy) -> Self {
        self.parts.settings.conflicts = policy;
        self
    }

    /// Sets how long a commit that meets conflicts is retried. Default: 5 s. A logout is tried up to eight more times after
    /// that.
    #[must_use]
    pub fn retry_for(mut self, time: Duration) -> Self {
        self.parts.settings.retry_for = time;
        self
    }

    /// Sets when an existing session is saved. Default: [`SavePolicy::Changed`].
    #[doc(alias = "with_always_save")]
    #[must_use]
    pub fn save_policy(mut self, policy: SavePolicy) -> Self {
        self.parts.settings.save = policy;
        self
    }

    /// Decides by the response whether the request's changes are saved. By default they are saved unless the response
    /// [is a failure](ResponseHead::is_failure): a server error (5xx), or 408 Request Timeout, after which the handler
    /// may have been cut off half way. After other client errors (4xx), changes are saved.
    ///
    /// Unsaved changes are dropped, and [`ChangesDropped`](crate::EventKind::ChangesDropped) is reported. Changes are
    /// also dropped if the inner service fails without a response. `destroy` takes effect in any case, and what
    /// [`save`](crate::Session::save) has written stays.
    ///
    /// Put a `TimeoutLayer` outside of the session layer: it then drops the whole request, and none of its changes are
    /// saved. If it is inside, as a layer of the routes, only this decision distinguishes its 408 from a handler's
    /// answer. If it is set to answer with another status, name that status here.
    ///
    /// ```
    /// # use session_layer::{MemoryStore, SessionLayer};
    /// use http::StatusCode;
    ///
    /// let layer = SessionLayer::builder(MemoryStore::new())
    ///     .save_if(|response| !response.is_failure() && response.status != StatusCode::CONFLICT)
    ///     .build()?;
    /// # Ok::<(), session_layer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn save_if(mut self, decision: impl Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.parts.settings.save_if = SaveIf::new(decision);
        self
    }

    /// Sets how long after a [`renew`](crate::Session::renew) requests with the old token still get the renewed
    /// session. Default: 60 s; at most a day. Zero turns this off: such requests then have no session.
    ///
    /// It does not apply to a login, a logout or a revocation: after these, the old token is worthless at once.
    #[must_use]
    pub fn renewal_grace(mut self, time: Duration) -> Self {
        self.parts.settings.renewal_grace = time;
        self
    }

    /// Renews a session's token once it is this old, at the next response that saves (OWASP Session Management Cheat
    /// Sheet, "Renewal Timeout"). It must be at least the [`renewal_grace`](Self::renewal_grace). Default: off.
    ///
    /// The session keeps its data and its owner, and both time limits continue. Requests that are under way are served
    /// within the grace. If the response with the new token doesn't reach the browser, one of the browser's next
    /// requests within the grace gets another new token. A request that calls
    /// [`skip_touch`](crate::Session::skip_touch) renews nothing.
    ///
    /// **One race remains:** if the response with the new token arrives after that of a login in the same browser, the
    /// late cookie replaces the login's, and the visitor has to log in again.
    #[must_use]
    pub fn renew_every(mut self, time: Duration) -> Self {
        self.parts.settings.renew_every = Some(time);
        self
    }

    /// Sets what happens if a record can't be opened. Default: [`DamagedPolicy::Fail`].
    #[must_use]
    pub fn damaged_policy(mut self, policy: DamagedPolicy) -> Self {
        self.parts.settings.damaged = policy;
        self
    }

    /// Sets how values are encoded. Default: JSON.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.parts.settings.codec = codec;
        self
    }

    /// Sets the largest size of a record, in bytes. Default: 128 KiB.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.parts.settings.max_record_bytes = bytes;
        self
    }

    /// Sets whether responses that depend on the session have the headers `Vary: Cookie` and `Cache-Control`. Default:
    /// yes. **Without them, a cache can serve one visitor's page, or cookie, to another.**
    #[must_use]
    pub fn cache_headers(mut self, send: bool) -> Self {
        self.parts.settings.cache_headers = send;
        self
    }

    /// Sets the clock from which the layer reads the time. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.parts.clock = clock;
        self
    }

    /// Adds an observer, which receives all events of the layer's sessions, and each store call with its duration. Can
    /// be called more than once. Default: no observers, and store calls are not timed.
    ///
    /// Events of the store itself, such as evictions, go to the observers in the store's own settings
    /// (`MemoryStore::builder().observe(..)`).
    ///
    /// ```
    /// # use session_layer::{Event, EventKind, MemoryStore, SessionLayer, events::NoSessionReason};
    /// let layer = SessionLayer::builder(MemoryStore::new())
    ///     .observe(|event: &Event<'_>| match event.kind {
    ///         EventKind::NoSession { reason: NoSessionReason::Forged, .. } => eprintln!("a forged cookie"),
    ///         EventKind::Operation { operation, duration, .. } => println!("{operation} took {duration:?}"),
    ///         _ => {}
    ///     })
    ///     .build()?;
    /// # Ok::<(), session_layer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.parts.observers.add(observer);
        self
    }

    /// Sets the response to session errors, wherever they arise: in an extractor, in a handler that returns an
    /// [`Error`](crate::Error), or in a commit after the handler has answered. Default: [`DefaultErrorResponse`].
    ///
    /// The function chooses status, headers and body, and the layer adds its own headers. Don't send the error's
    /// message to the visitor: it contains keys, types and ids.
    ///
    /// ```
    /// use axum::{Json, body::Body, response::IntoResponse};
    /// use serde_json::json;
    /// use session_layer::{MemoryStore, SessionLayer, middleware::CustomErrorResponse};
    ///
    /// let layer: SessionLayer<CustomErrorResponse<Body>> = SessionLayer::builder(MemoryStore::new())
    ///     .error_response(|error| (error.status(), Json(json!({ "error": "try again" }))).into_response())
    ///     .build()?;
    /// # Ok::<(), session_layer::ConfigError>(())
    /// ```
    ///
    /// In the function, `error.clone().into_response()` is the default response. So the function can change the
    /// responses to some errors only:
    ///
    /// ```
    /// # use axum::response::{Html, IntoResponse};
    /// # use session_layer::{ErrorKind, MemoryStore, SessionLayer};
    /// # let builder = SessionLayer::builder(MemoryStore::new());
    /// let builder = builder.error_response(|error| match error.kind() {
    ///     ErrorKind::TwoSessions => (error.status(), Html("<p>Reload the page.")).into_response(),
    ///     _ => error.clone().into_response(),
    /// });
    /// # drop(builder);
    /// ```
    ///
    /// `B` must be the body of the inner service's responses. If it is not axum's `Body`, the function is used for
    /// failed commits only, since rejections and the errors of axum's handlers have axum's body. An error that becomes
    /// a response outside a handler, in a separate task, becomes the default response. If layers are nested, the
    /// innermost one's function is used for handlers.
    #[must_use]
    pub fn error_response<B: 'static>(
        mut self,
        respond: impl Fn(&Error) -> Response<B> + Send + Sync + 'static,
    ) -> SessionLayerBuilder<CustomErrorResponse<B>> {
        let error_response = CustomErrorResponse::new(respond);
        self.parts.settings.error_response = Some(Arc::new(error_response.clone()));
        SessionLayerBuilder { parts: self.parts, error_response }
    }
}

impl<R> fmt::Debug for SessionLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("cookie", &self.parts.cookie)
            .field("settings", &self.parts.settings)
            .finish_non_exhaustive()
    }
}
