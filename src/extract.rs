//! axum's extractors, and errors as its responses (feature `axum`).

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{header::RETRY_AFTER, request::Parts};

use crate::{
    error::Error,
    middleware::{LazySession, SessionHandle, SessionRejection},
    session::{Session, Typed, report_failed},
};

/// The visitor's session: loaded, or empty and new.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        SessionHandle::of(&parts.extensions)?.session_at(&parts.headers, Some(&parts.uri)).await
    }
}

/// The visitor's session if one is live; `None` for a visitor without.
impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionRejection> {
        let session = SessionHandle::of(&parts.extensions)?.session_at(&parts.headers, Some(&parts.uri)).await?;
        Ok(Some(session).filter(|session| !session.is_new()))
    }
}

/// The visitor's session, seen as this type. Whether what is stored fits the type shows when it is read or changed.
impl<S: Sync, T> FromRequestParts<S> for Typed<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionRejection> {
        <Session as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Self::new)
    }
}

/// The same if a session is live; `None` for a visitor without.
impl<S: Sync, T> OptionalFromRequestParts<S> for Typed<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, SessionRejection> {
        let session = <Session as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(session.map(Self::new))
    }
}

/// The visitor's session, to be loaded only if it is needed.
impl<S: Sync> FromRequestParts<S> for LazySession {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        Ok(SessionHandle::of(&parts.extensions)?.lazy_at(&parts.headers, Some(&parts.uri)))
    }
}

/// The rejection's status, `Retry-After` where it fits, and a text that says nothing of the inside.
impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.to_string()).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Answers with the error's status and that status' standard text. The error's own text names keys and types, which are
/// internal. A server error is reported with its full text ([`HandlerFailed`](crate::EventKind::HandlerFailed)).
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.status().is_server_error() {
            report_failed(&self);
        }
        (self.status(), self.status().canonical_reason().unwrap_or_default()).into_response()
    }
}
