//! The demo's errors: a status and JSON.

use std::borrow::Cow;

use axum::{
    Json,
    extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection},
    http::{Method, StatusCode, Uri, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;
use session_layer::ErrorKind;

/// An error as the visitor gets it: `{"error": ".."}`. It reveals no internals; those are logged.
#[derive(Debug, Clone)]
pub(crate) struct Error {
    status: StatusCode,
    message: Cow<'static, str>,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn nobody() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "you are not logged in")
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The request is well-formed, but its content is invalid.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(crate) fn inside() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// For a handler's `?`, and for the answer if a session can't be loaded or committed.
impl From<&session_layer::Error> for Error {
    fn from(error: &session_layer::Error) -> Self {
        let (status, message) = match (error.kind(), error.status()) {
            // Clients of the interface choose keys and types, so these two errors are theirs.
            (ErrorKind::InvalidKey, _) => (StatusCode::BAD_REQUEST, "a key has 1 to 255 bytes"),
            (ErrorKind::Decode, _) => (StatusCode::CONFLICT, "the entry holds a value of another type"),
            (ErrorKind::Unsupported, _) => (StatusCode::NOT_IMPLEMENTED, "the store can't do this"),
            (ErrorKind::TwoSessions, status) => (
                status,
                "the request has two session cookies: sign in again, and if that does not help, delete this site's cookies \
                 in the browser first",
            ),
            (ErrorKind::Superseded, status) => (status, "you signed in elsewhere meanwhile: reload the page"),
            (_, status @ StatusCode::CONFLICT) => (status, "the session was changed meanwhile: try again"),
            (_, status @ StatusCode::PAYLOAD_TOO_LARGE) => (status, "the session has no room for this"),
            (_, status @ StatusCode::LOCKED) => (status, "the session is in use by other requests: try again later"),
            (_, status @ StatusCode::SERVICE_UNAVAILABLE) => {
                (status, "the session is not available now: try again later")
            }
            (_, status) => {
                tracing::error!(error = %error, "a session could not be used");
                return Self { status, ..Self::inside() };
            }
        };
        tracing::debug!(error = %error, "a session could not be used");
        Self { retry_after: error.retry_after(), ..Self::new(status, message) }
    }
}

impl From<session_layer::Error> for Error {
    fn from(error: session_layer::Error) -> Self {
        Self::from(&error)
    }
}

macro_rules! from_rejections {
    ($($rejection:ty),*) => {
        $(impl From<$rejection> for Error {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        })*
    };
}

from_rejections!(BytesRejection, FormRejection, PathRejection, QueryRejection);

/// The response to an error of the session, wherever it arises.
pub(crate) fn of_session(error: &session_layer::Error) -> Response {
    Error::from(error).into_response()
}

pub(crate) async fn not_found(uri: Uri) -> Error {
    Error::new(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
}

pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Error {
    Error::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
