//! The layer, built once.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use tower_layer::Layer;

use super::{EmptyAnswer, SessionService};
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
/// It is one type whatever the store and the cookie; `R` is what answers when a session could not be committed. Two
/// layers with different cookie names nest: handlers get the inner one's session, and both commit. Of two with one name
/// the inner does nothing, and says so once.
pub struct SessionLayer<R = EmptyAnswer> {
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
