//! Why a handler can't have its session.

use std::{error::Error as StdError, fmt};

use http::StatusCode;

use crate::{session::LoadFailure, store::StoreError};

/// Why a handler can't have its session.
///
/// As an extractor's rejection it becomes a response of its [`status`](Self::status), whose body says nothing of the
/// inside. A handler that deals with it itself asks for `Result<Session, SessionRejection>`.
#[derive(Debug, Clone)]
pub struct SessionRejection {
    kind: SessionRejectionKind,
    source: Option<StoreError>,
}

/// What kind of rejection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionRejectionKind {
    /// No `SessionLayer` wraps the route.
    MissingLayer,
    /// The store could not answer, or not in time. This says nothing about whether the session exists.
    Unavailable,
    /// The record is damaged, or no key opens it. It stays as it is.
    Damaged,
    /// The request brought two cookies of two live sessions: one of them may have been planted.
    TwoSessions,
}

impl SessionRejection {
    pub(super) fn missing_layer() -> Self {
        Self { kind: SessionRejectionKind::MissingLayer, source: None }
    }

    /// What kind of rejection it is.
    #[must_use]
    pub fn kind(&self) -> SessionRejectionKind {
        self.kind
    }

    /// The HTTP status that fits: 500, 503, 500 and 400, in the order of the kinds (RFC 9110, section 15).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            SessionRejectionKind::MissingLayer | SessionRejectionKind::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
            SessionRejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            SessionRejectionKind::TwoSessions => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<LoadFailure> for SessionRejection {
    fn from(failure: LoadFailure) -> Self {
        let (kind, source) = match failure {
            LoadFailure::Store(error) => (SessionRejectionKind::Unavailable, Some(error)),
            LoadFailure::Damaged(error) => (SessionRejectionKind::Damaged, Some(error)),
            LoadFailure::TwoSessions => (SessionRejectionKind::TwoSessions, None),
        };
        Self { kind, source }
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SessionRejectionKind::MissingLayer => {
                "no SessionLayer wraps this route: add `.layer(SessionLayer::new(store))` to the router, after the route"
            }
            SessionRejectionKind::Unavailable => "the session can't be loaded now: try again later",
            SessionRejectionKind::Damaged => "the session can't be opened",
            SessionRejectionKind::TwoSessions => {
                "the request has two session cookies: delete this site's cookies in the browser, and sign in again"
            }
        })
    }
}

impl StdError for SessionRejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|error| error as &(dyn StdError + 'static))
    }
}
