//! The settings of a layer.

#[cfg(feature = "encryption")]
use std::time::SystemTime;
use std::{fmt, sync::Arc, time::Duration};

use http::Response;

use super::{CustomErrorResponse, DefaultErrorResponse, SessionLayer, turns::Turns};
use crate::{
    clock::Clock,
    codec::Codec,
    cookie::{ConfigError, Cookie, CookieConfig},
    error::Error,
    events::{Observer, Observers},
    lifetime::Lifetime,
    record::{HEAD_BYTES, MAX_OWNER_BYTES, OWNER_HEAD_BYTES},
    session::{ConflictPolicy, Context, DamagedPolicy, ResponseHead, SaveIf, SavePolicy, Settings},
    store::{DynStore, SessionStore, observed::observed},
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
    pub(super) settings: Settings,
    store: DynStore,
    observers: Observers,
    clock: Clock,
    cookie: CookieConfig,
    signing: Signing,
    pub(super) turns: Turns,
    error_response: R,
}

/// The keys that sign the cookie, and the time until which unsigned cookies are accepted.
#[derive(Debug, Default)]
struct Signing {
    #[cfg(feature = "encryption")]
    ring: Option<crate::keyring::KeyRing>,
    #[cfg(feature = "encryption")]
    unsigned_until: Option<SystemTime>,
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
        Self {
            settings: Settings::default(),
            store: DynStore::new(store),
            observers: Observers::NONE,
            clock: Clock::system(),
            cookie: CookieConfig::default(),
            signing: Signing::default(),
            turns: Turns::default(),
            error_response: DefaultErrorResponse,
        }
    }
}

impl<R> SessionLayerBuilder<R> {
    /// Sets the cookie's name, prefix and attributes. Default: `__Host-sid; Secure; HttpOnly; SameSite=Lax; Path=/`.
    #[must_use]
    pub fn cookie(mut self, cookie: CookieConfig) -> Self {
        self.cookie = cookie;
        self
    }

    /// Signs the cookie's value, so that a forged one costs no store call. The signature is bound to the cookie's name.
    /// Default: not signed.
    ///
    /// One key of the ring signs, and the signatures of all its keys are accepted. A cookie that none of them has
    /// signed is treated as forged: the visitor starts anew.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn sign(mut self, ring: crate::keyring::KeyRing) -> Self {
        self.signing.ring = Some(ring);
        self
    }

    /// Accepts unsigned tokens until this time, so that turning [`sign`](Self::sign) on logs nobody out. Use the time
    /// at which the last unsigned session reaches its absolute limit. **Until then a forged token costs a store
    /// call**, as without signing. Default: none is accepted.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn accept_unsigned_until(mut self, time: SystemTime) -> Self {
        self.signing.unsigned_until = Some(time);
        self
    }

    /// Sets the lifetime of sessions that don't have one of their own. Default: [`Lifetime::aal2`].
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.settings.lifetime = lifetime;
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
        self.settings.touch_fraction = part_of_idle;
        self
    }

    /// Sets what happens if another request has changed the session meanwhile. Default: [`ConflictPolicy::Merge`].
    #[must_use]
    pub fn conflict_policy(mut self, policy: ConflictPolicy) -> Self {
        self.settings.conflicts = policy;
        self
    }

    /// Sets how long a commit that meets conflicts is retried. Default: 5 s.
    #[must_use]
    pub fn retry_for(mut self, time: Duration) -> Self {
        self.settings.retry_for = time;
        self
    }

    /// Sets when an existing session is saved. Default: [`SavePolicy::Changed`].
    #[must_use]
    pub fn save_policy(mut self, policy: SavePolicy) -> Self {
        self.settings.save = policy;
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
        self.settings.save_if = SaveIf::new(decision);
        self
    }

    /// Sets how long after a [`renew`](crate::Session::renew) requests with the old token still get the renewed
    /// session. Default: 60 s; at most a day. Zero turns this off: such requests then have no session.
    ///
    /// It does not apply to a login, a logout or a revocation: after these, the old token is worthless at once.
    #[must_use]
    pub fn renewal_grace(mut self, time: Duration) -> Self {
        self.settings.renewal_grace = time;
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
        self.settings.renew_every = Some(time);
        self
    }

    /// Sets what happens if a record can't be opened. Default: [`DamagedPolicy::Fail`].
    #[must_use]
    pub fn damaged_policy(mut self, policy: DamagedPolicy) -> Self {
        self.settings.damaged = policy;
        self
    }

    /// Sets how values are encoded. Default: JSON.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.settings.codec = codec;
        self
    }

    /// Sets the largest size of a record, in bytes. Default: 128 KiB.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_record_bytes = bytes;
        self
    }

    /// Sets whether responses that depend on the session have the headers `Vary: Cookie` and `Cache-Control`. Default:
    /// yes. **Without them, a cache can serve one visitor's page, or cookie, to another.**
    #[must_use]
    pub fn cache_headers(mut self, send: bool) -> Self {
        self.settings.cache_headers = send;
        self
    }

    /// Sets the clock from which the layer reads the time. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
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
        self.observers.add(observer);
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
        self.settings.error_response = Some(Arc::new(error_response.clone()));
        let Self { settings, store, observers, clock, cookie, signing, turns, error_response: _ } = self;
        SessionLayerBuilder { settings, store, observers, clock, cookie, signing, turns, error_response }
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// If settings contradict each other (the error names both), if a setting is out of its range, or if the store
    /// lacks a capability that a setting needs.
    pub fn build(self) -> Result<SessionLayer<R>, ConfigError> {
        let Self { mut settings, store, observers, clock, cookie, signing, turns, error_response } = self;
        let cookie = signing.sign(cookie.build()?)?;
        settings.exclusive = turns.checked(settings.conflicts, &store)?;
        if !(0.0..=1.0).contains(&settings.touch_fraction) {
            let given = settings.touch_fraction;
            return Err(ConfigError::new(format!(
                "touch_fraction is {given}: it is a part of the idle time, from 0 to 1"
            )));
        }
        check_renewal(&settings)?;
        if settings.max_record_bytes < MIN_RECORD_BYTES {
            let given = settings.max_record_bytes;
            return Err(ConfigError::new(format!(
                "max_record_bytes is {given}: a record without any entry takes up to {MIN_RECORD_BYTES} bytes"
            )));
        }
        if settings.sessions_per_owner.is_some_and(|limit| limit.most == 0) {
            return Err(ConfigError::new("sessions_per_owner is 0: nobody could log in"));
        }
        if settings.sessions_per_owner.is_some() && store.owners().is_none() {
            let store = store.name();
            return Err(ConfigError::new(format!(
                "sessions_per_owner needs a store that lists an owner's sessions, and {store} does not, as it is configured: \
                 choose another, turn its list on, or leave sessions_per_owner out"
            )));
        }
        if let Some(complaint) = settings.codec.complaint() {
            return Err(ConfigError::new(complaint));
        }
        let observers = observers.of(store.name());
        let store = observed(store, &observers);
        settings.cookie = cookie;
        Ok(SessionLayer { context: Arc::new(Context::new(settings, store, observers, clock)), error_response })
    }
}

/// Refuses a grace, or a time between renewals, that would keep old tokens valid for too long.
fn check_renewal(settings: &Settings) -> Result<(), ConfigError> {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let grace = settings.renewal_grace;
    if grace > DAY {
        return Err(ConfigError::new(format!("renewal_grace is {grace:?}: an old token is served for at most a day")));
    }
    match settings.renew_every {
        Some(every) if grace.is_zero() => Err(ConfigError::new(format!(
            "renew_every({every:?}) contradicts a renewal_grace of zero: each renewal would log out the visitor's parallel \
             requests"
        ))),
        Some(every) if every < grace => Err(ConfigError::new(format!(
            "renew_every is {every:?}, less than the renewal_grace of {grace:?}: more and more old tokens would be served"
        ))),
        _ => Ok(()),
    }
}

impl Signing {
    #[cfg(feature = "encryption")]
    fn sign(self, cookie: Cookie) -> Result<Cookie, ConfigError> {
        match (self.ring, self.unsigned_until) {
            (Some(ring), until) => Ok(cookie.signed(ring, until)),
            (None, None) => Ok(cookie),
            (None, Some(_)) => Err(ConfigError::new(
                "accept_unsigned_until contradicts a cookie that is not signed: add `sign(ring)`, or leave it out",
            )),
        }
    }

    #[cfg(not(feature = "encryption"))]
    fn sign(self, cookie: Cookie) -> Result<Cookie, ConfigError> {
        Ok(cookie)
    }
}

/// The size of a record without entries, and with an owner whose name has the maximum length.
const MIN_RECORD_BYTES: usize = HEAD_BYTES + OWNER_HEAD_BYTES + MAX_OWNER_BYTES;

impl<R> fmt::Debug for SessionLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("cookie", &self.cookie)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn refused(builder: SessionLayerBuilder) -> String {
        builder.build().expect_err("wrong settings").to_string()
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let builder = || SessionLayer::builder(MemoryStore::new());
        assert_eq!(
            refused(builder().touch_fraction(1.5)),
            "touch_fraction is 1.5: it is a part of the idle time, from 0 to 1"
        );
        assert!(refused(builder().touch_fraction(f64::NAN)).contains("NaN"));
        assert!(refused(builder().max_record_bytes(100)).contains("max_record_bytes is 100"));
        assert!(refused(builder().sessions_per_owner(0, crate::AtLimit::Refuse)).contains("sessions_per_owner is 0"));
        assert!(refused(builder().exclusive_lease(Duration::from_secs(1))).contains("add `exclusive(wait)`"));
        let exclusive = || builder().exclusive(Duration::ZERO);
        assert!(refused(exclusive().exclusive_lease(Duration::ZERO)).contains("exclusive_lease is 0ns"));
        assert!(refused(exclusive().conflict_policy(ConflictPolicy::LastWriteWins)).contains("LastWriteWins"));
        let every = |seconds| builder().renew_every(Duration::from_secs(seconds));
        assert!(refused(every(900).renewal_grace(Duration::ZERO)).contains("renewal_grace of zero"));
        assert!(refused(every(59)).contains("renew_every is 59s, less than the renewal_grace of 60s"));
        assert!(refused(builder().renewal_grace(Duration::MAX)).contains("at most a day"));
        assert!(every(60).build().is_ok());
        assert!(exclusive().conflict_policy(ConflictPolicy::Reject).build().is_ok());
        assert!(builder().build().is_ok());
    }
}
