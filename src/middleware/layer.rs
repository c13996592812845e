//! The layer.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use tower_layer::Layer;

use super::{DefaultErrorResponse, SessionService};
use crate::{
    admin::Sessions,
    error::Result,
    id::SessionId,
    session::{Context, RequestSession, Session},
};

/// Gives every request a session: found by its cookie, loaded when a handler asks for it, and saved if it has changed.
///
/// ```
/// use axum::{Router, routing::get};
/// use session_layer::{Key, MemoryStore, Session, SessionLayer};
///
/// const VISITS: Key<u64> = Key::new("visits");
///
/// async fn home(session: Session) -> Result<String, session_layer::Error> {
///     let visits = session.update(VISITS, |n| { *n += 1; *n })?;
///     Ok(format!("visit {visits}"))
/// }
///
/// let app: Router = Router::new().route("/", get(home)).layer(SessionLayer::new(MemoryStore::new()));
/// ```
///
/// The type does not depend on the store or the cookie. `R` builds the responses to errors: see
/// [`error_response`](super::SessionLayerBuilder::error_response).
///
/// Layers with different cookie names can be nested: handlers get the inner layer's session, and both layers commit. If
/// both have the same cookie name, the inner layer has no effect, and that is reported once
/// ([`NestedLayer`](crate::EventKind::NestedLayer)).
///
/// # Other layers
///
/// If a session can't be committed, the layer replaces the response, so it must be able to create a response body.
/// Some layers, such as `TraceLayer`, wrap the response body of their inner service in a type that other layers can't
/// create. In one `ServiceBuilder`, such a layer can't be inside the session layer:
///
/// ```compile_fail,E0277
/// # use axum::{Router, routing::get};
/// # use session_layer::{MemoryStore, SessionLayer};
/// # use tower::ServiceBuilder;
/// # use tower_http::trace::TraceLayer;
/// # let sessions = SessionLayer::new(MemoryStore::new());
/// let layers = ServiceBuilder::new().layer(sessions).layer(TraceLayer::new_for_http());
/// let app: Router = Router::new().route("/", get(async || "home")).layer(layers); // error
/// ```
///
/// Put it before the session layer, which makes it the outer one, or call the router's `layer` twice. Each call of
/// `layer` turns the body into axum's `Body` again:
///
/// ```
/// # use axum::{Router, routing::get};
/// # use session_layer::{MemoryStore, SessionLayer};
/// # use tower::ServiceBuilder;
/// # use tower_http::trace::TraceLayer;
/// # let sessions = SessionLayer::new(MemoryStore::new());
/// let layers = ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(sessions.clone());
/// let app: Router = Router::new().route("/", get(async || "home")).layer(layers);
///
/// let app: Router = Router::new()
///     .route("/", get(async || "home"))
///     .layer(TraceLayer::new_for_http())
///     .layer(sessions); // the outer one
/// ```
pub struct SessionLayer<R = DefaultErrorResponse> {
    /// Shared by all its requests.
    pub(super) context: Arc<Context>,
    pub(super) error_response: R,
}

/// # Sessions outside a request
impl<R> SessionLayer<R> {
    /// Creates an empty session with this layer's settings, outside a request. [`Session::save`] stores it.
    ///
    /// Tests can send requests with this session by its [`request_cookie`](Self::request_cookie)
    /// (`examples/testing.rs`).
    #[must_use]
    pub fn new_session(&self) -> Session {
        Session::of(RequestSession::detached(Arc::clone(&self.context), Default::default()))
    }

    /// Opens the session with this id and this layer's settings, outside a request. Returns `None` if no such session
    /// is live.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the store can't tell, [`Damaged`](crate::ErrorKind::Damaged)
    /// if it can't open the record.
    pub async fn open_session(&self, id: SessionId) -> Result<Option<Session>> {
        Session::open_with(Arc::clone(&self.context), id).await
    }

    /// Returns a handle on all sessions of this layer's store, with this layer's settings. It is for jobs and
    /// operators' pages, and lists and revokes the sessions of one owner.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::with(Arc::clone(&self.context))
    }

    /// Waits for this layer's operations that are still running, even those whose callers have gone. Call it in a
    /// graceful shutdown, after the server has stopped and before the store is closed.
    ///
    /// A login, a renewal, a logout, [`save`](Session::save) and similar operations run to completion in their own
    /// tasks, so that a client that disconnects can't stop them half way. Neither the server nor the runtime waits for
    /// these tasks. This method does, and also waits for operations that begin meanwhile: those of streams that save
    /// changes, and those of [`Sessions`] that this layer has made.
    ///
    /// ```no_run
    /// # use axum::Router;
    /// # use session_layer::{MemoryStore, SessionLayer, SessionStore};
    /// # async fn serve(stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
    /// let store = MemoryStore::new();
    /// let layer = SessionLayer::new(store.clone());
    /// let app = Router::new().layer(layer.clone());
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    /// layer.drain().await;
    /// store.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Each operation ends within the store's time limits. To limit the wait as a whole, put a `tokio::time::timeout`
    /// around it.
    pub async fn drain(&self) {
        self.context.outliving.drained().await;
    }

    /// Returns the value of the `Cookie` header that gives a request this session, for tests.
    ///
    /// It is known if [`new_session`](Self::new_session) created the session and it was saved, or if the session has
    /// logged in since it was created or opened. For any other session this is `None`, since tokens are not stored.
    #[must_use]
    pub fn request_cookie(&self, session: &Session) -> Option<HeaderValue> {
        let state = session.request().state();
        state.notes.cookie.as_ref().map(|(token, _)| self.context.settings.cookie.pair(token))
    }
}

impl<S, R: Clone> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, Arc::clone(&self.context), self.error_response.clone())
    }
}

impl<R: Clone> Clone for SessionLayer<R> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context), error_response: self.error_response.clone() }
    }
}

impl<R> fmt::Debug for SessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("context", &self.context).finish_non_exhaustive()
    }
}
