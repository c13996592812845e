//! axum's extractors, and errors as its responses (feature `axum`).

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    admin::Sessions,
    error::Error,
    middleware::{LazySession, SessionHandle, response_in_handler},
    session::{Caller, Session, Typed, report_failed},
};

/// Extracts the visitor's session: the stored one, or a new and empty one.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        SessionHandle::of(&parts.extensions)?.session_at(&parts.headers, Some(&parts.uri)).await
    }
}

/// Extracts the visitor's session if one is live; otherwise `None`.
impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        let session = SessionHandle::of(&parts.extensions)?.session_at(&parts.headers, Some(&parts.uri)).await?;
        Ok(Some(session).filter(|session| !session.is_new()))
    }
}

/// Extracts the visitor's session as this type. Entries that don't fit the type fail when they are read or changed, not
/// here.
impl<S: Sync, T> FromRequestParts<S> for Typed<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        <Session as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Self::new)
    }
}

/// Extracts the visitor's session as this type if one is live; otherwise `None`.
impl<S: Sync, T> OptionalFromRequestParts<S> for Typed<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let session = <Session as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(session.map(Self::new))
    }
}

/// Extracts the visitor's session without loading it. It is loaded only if the handler asks for it.
impl<S: Sync> FromRequestParts<S> for LazySession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(SessionHandle::of(&parts.extensions)?.lazy_at(&parts.headers, Some(&parts.uri)))
    }
}

/// Extracts a handle on all sessions of the layer's store, with the layer's settings.
impl<S: Sync> FromRequestParts<S> for Sessions {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(SessionHandle::of(&parts.extensions)?.sessions())
    }
}

/// Converts the error into a response: see [As a response](Error#as-a-response). A server error that no event has
/// reported yet is reported as [`HandlerFailed`](crate::EventKind::HandlerFailed).
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let caller = Caller::present();
        if self.status().is_server_error() && !self.is_reported() {
            report_failed(&self, &caller);
        }
        response_in_handler(&self, caller.error_response())
    }
}
