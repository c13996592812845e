//! The handle that handlers get on their request's session.

use std::{fmt, sync::Arc};

use super::request_session::RequestSession;

/// The session of one visitor in one request.
///
/// A handler takes it as an argument. It is already loaded then, so only calls that reach the store are asynchronous.
/// If it has changed, it is committed after the handler has answered. All clones and all other extractions in the same
/// request share one state.
///
/// # If a handler does not compile
///
/// axum only reports that the function is not a `Handler`. Put `#[axum::debug_handler]` (axum's feature `macros`) on
/// the handler, and the compiler names the argument. With this crate's types, the usual reasons are:
///
/// - An argument that consumes the body (`String`, `Form`, `Json`) is not the last one.
/// - The argument is a reference: handlers take `Session`, not `&Session`.
/// - The crate's feature `axum` is off, or a version of axum other than 0.8 is in use, so that `Session` implements a
///   different `FromRequestParts`. `cargo tree -d -i axum-core` shows this.
/// - The future is not `Send`, for example because a lock guard of the application is held across an `await`.
///
/// ```compile_fail,E0277
/// # use axum::{Router, routing::post};
/// # use session_layer::Session;
/// async fn note(text: String, session: Session) {} // the body must come last
/// let app: Router = Router::new().route("/", post(note)); // error: no `Handler`
/// ```
///
/// ```
/// # use axum::{Router, routing::post};
/// # use session_layer::Session;
/// async fn note(session: Session, text: String) {}
/// let app: Router = Router::new().route("/", post(note));
/// ```
///
/// # After the response has begun
///
/// A stream or a socket can keep a clone. Changes that it makes then must be written by [`save`](Self::save). Unsaved
/// changes are dropped, and [`ChangesDropped`](crate::EventKind::ChangesDropped) is reported. A cookie can't be sent
/// any more, so a call that needs one fails with [`ResponseStarted`](crate::ErrorKind::ResponseStarted).
#[derive(Clone)]
pub struct Session {
    pub(super) request: Arc<RequestSession>,
}

impl Session {
    /// Creates a handle to this state.
    pub(crate) fn of(request: Arc<RequestSession>) -> Self {
        Self { request }
    }

    pub(crate) fn request(&self) -> &Arc<RequestSession> {
        &self.request
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}
