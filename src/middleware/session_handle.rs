//! Access to the session of a request.

use std::{fmt, sync::Arc};

use http::{Extensions, HeaderMap, Uri, header};

use super::{lazy::LazySession, transport};
use crate::{
    admin::Sessions,
    cookie,
    error::{Error, ErrorKind, Result},
    events::{self, EventKind},
    session::{Context, RequestSession, Session, Settings},
};

/// Gives access to a request's session. The layer puts a handle into the extensions of each request; the session is
/// loaded on first use.
///
/// axum's extractors use it. Without axum, take it from the extensions (`examples/hyper.rs`).
#[derive(Clone)]
pub struct SessionHandle {
    pub(super) request: Arc<RequestSession>,
    /// The handle of the layer around this one.
    outer: Option<Arc<SessionHandle>>,
}

impl SessionHandle {
    pub(super) fn new(context: Arc<Context>, outer: Option<Self>) -> Self {
        Self { request: RequestSession::new(context), outer: outer.map(Arc::new) }
    }

    pub(super) fn context(&self) -> &Context {
        &self.request.context
    }

    pub(super) fn settings(&self) -> &Settings {
        self.request.settings()
    }

    /// Whether this layer, or a layer around it, uses this cookie name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.settings().cookie.name() == name || self.outer.as_ref().is_some_and(|outer| outer.is_named(name))
    }

    /// Whether there is another layer around this one.
    pub(super) fn is_nested(&self) -> bool {
        self.outer.is_some()
    }

    /// Returns the handle of the innermost layer around the request.
    ///
    /// # Errors
    ///
    /// [`MissingLayer`](ErrorKind::MissingLayer) if no layer wraps it.
    pub fn of(extensions: &Extensions) -> Result<&Self> {
        extensions.get().ok_or_else(|| {
            events::missing_layer();
            Error::request(ErrorKind::MissingLayer).reported()
        })
    }

    /// Returns the session that the request's `Cookie` headers name, or a new one. It is loaded once in each request.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) if the store can't tell, [`Damaged`](ErrorKind::Damaged) if the record
    /// can't be opened, [`TwoSessions`](ErrorKind::TwoSessions) if two live sessions are named, and
    /// [`Locked`](ErrorKind::Locked) if the request's turn doesn't come in time.
    pub async fn session(&self, headers: &HeaderMap) -> Result<Session> {
        self.session_at(headers, None).await
    }

    /// The same as [`session`](Self::session), for a request whose URI is known, too.
    pub(crate) async fn session_at(&self, headers: &HeaderMap, uri: Option<&Uri>) -> Result<Session> {
        // Loaded once: later calls get the same session, whatever the tokens.
        let tokens = if self.request.was_asked_for() { cookie::Tokens::default() } else { self.tokens(headers, uri) };
        self.request.open(&tokens).await
    }

    /// Returns a handle on all sessions of the layer's store, with the layer's settings.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::with(Arc::clone(&self.request.context))
    }

    /// Returns the session without loading it. [`LazySession::session`] loads it.
    #[must_use]
    pub fn lazy(&self, headers: &HeaderMap) -> LazySession {
        self.lazy_at(headers, None)
    }

    /// The same as [`lazy`](Self::lazy), for a request whose URI is known, too.
    pub(crate) fn lazy_at(&self, headers: &HeaderMap, uri: Option<&Uri>) -> LazySession {
        LazySession::of(Arc::clone(&self.request), self.tokens(headers, uri))
    }

    fn tokens(&self, headers: &HeaderMap, uri: Option<&Uri>) -> cookie::Tokens {
        let (context, settings, first) = (self.context(), self.settings(), self.request.is_first_reading());
        let tokens = cookie::read(headers, &settings.cookie, &context.clock, |reason| {
            if first {
                context.emit(EventKind::NoSession { reason, id: None, record: None });
            }
        });
        // Computed now, since headers and URI are not kept.
        if tokens.are_several() {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let removals = settings.cookie.removals_of_others(host, uri.map(Uri::path));
            self.request.state().notes.removals = removals;
        } else if tokens.is_empty() && settings.cookie.is_assumed_secure() && transport::is_plain_http(headers, uri) {
            self.request.state().notes.over_http = true;
        }
        tokens
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("cookie", &self.settings().cookie.name())
            .field("loaded", &self.request.was_asked_for())
            .finish()
    }
}
