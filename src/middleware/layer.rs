//! The layer, built once.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use tower_layer::Layer;

use super::{DefaultErrorResponse, SessionService};
use crate::{
    admin::Sessions,
    error::Result,
    id::SessionId,
    session::{Context, Session, Shared},
};

/// Gives every request a session: read from its cookie, loaded when a handler asks for it, saved if it has changed.
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
/// It is one type whatever the store and the cookie. `R` answers errors: see
/// [`error_response`](super::SessionLayerBuilder::error_response). Two
/// layers with different cookie names nest: handlers get the inner one's session, and both commit. Of two with one name
/// the inner does nothing, and says so once.
///
/// # Beside other layers
///
/// If a session can't be committed, the layer replaces the response, so it must be able to make a response body. Some
/// layers give the responses of what is inside of them a body that nobody else can make, such as `TraceLayer`. In one
/// `ServiceBuilder`, such a layer can't be inside of the session layer:
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
/// Put it before the session layer, which makes it the outer one, or call the router's `layer` twice. After each call of
/// it, axum's body is back:
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
    /// What all its requests share.
    pub(super) context: Arc<Context>,
    pub(super) answer: R,
}

/// # Sessions outside a request
impl<R> SessionLayer<R> {
    /// An empty session with this layer's settings and no request. [`Session::save`] writes it.
    ///
    /// With [`request_cookie`](Self::request_cookie) a test gives it to the requests that it sends
    /// (`examples/testing.rs`).
    #[must_use]
    pub fn new_session(&self) -> Session {
        Session::of(Shared::detached(Arc::clone(&self.context), Default::default()))
    }

    /// The session of this id with this layer's settings and no request; `None` if no such session is live.
    ///
    /// # Errors
    ///
    /// If the store can't tell, or can't open the record.
    pub async fn open_session(&self, id: SessionId) -> Result<Option<Session>> {
        Session::open_with(Arc::clone(&self.context), id).await
    }

    /// All sessions of this layer's store, with its settings: for jobs and pages of operators, and to list and revoke the
    /// sessions of one owner.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::with(Arc::clone(&self.context))
    }

    /// Waits until nothing of this layer runs on after its caller has gone. Call it in a graceful shutdown, after the server
    /// has stopped and before the store is closed.
    ///
    /// A login, a renewal, a logout, [`save`](Session::save) and the like run to their end in tasks of their own, so that a
    /// client that disconnects can't stop them half way. A server that has answered its last request does not wait for
    /// these tasks, and neither does the runtime. What begins while this waits is awaited, too: changes saved by streams,
    /// and those of [`Sessions`] that this layer has made.
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
    /// Each operation ends within the store's time limits. To wait no longer than that, put a `tokio::time::timeout` around
    /// it.
    pub async fn drain(&self) {
        self.context.running.drained().await;
    }

    /// The `Cookie` line with which a request has this session, which [`new_session`](Self::new_session) made and which
    /// was saved, or which has logged in since. `None` for any other: tokens are kept nowhere.
    #[must_use]
    pub fn request_cookie(&self, session: &Session) -> Option<HeaderValue> {
        let state = session.shared().state();
        state.answer.cookie.as_ref().map(|(token, _)| self.context.settings.cookie.pair(token))
    }
}

impl<S, R: Clone> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, Arc::clone(&self.context), self.answer.clone())
    }
}

impl<R: Clone> Clone for SessionLayer<R> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context), answer: self.answer.clone() }
    }
}

impl<R> fmt::Debug for SessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("context", &self.context).finish_non_exhaustive()
    }
}
