//! Why a handler can't have its session.

use std::{error::Error as StdError, fmt, time::Duration};

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
    retry_after: Option<Duration>,
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
    /// The request brought the cookies of two live sessions: one of them may have been planted. Both sessions live on.
    /// If the answer is a 4xx, the layer adds lines that remove the cookies from the browser, as far as that is
    /// possible: see [`CookieConfig`](crate::CookieConfig#two-live-cookies).
    TwoSessions,
    /// Requests of one session run one after another, and others had it for as long as this one was to wait, or too many
    /// wait already: see [`exclusive`](crate::SessionLayerBuilder::exclusive). Nothing was read, and nothing changed.
    Locked,
    /// The same is asked for, and the store has no leases.
    NoLeases,
}

impl SessionRejection {
    pub(super) fn missing_layer() -> Self {
        Self { kind: SessionRejectionKind::MissingLayer, source: None, retry_after: None }
    }

    /// What kind of rejection it is.
    #[must_use]
    pub fn kind(&self) -> SessionRejectionKind {
        self.kind
    }

    /// The HTTP status that fits: 500, 503, 500, 400, 423 and 500, in the order of the kinds (RFC 9110, section 15; RFC
    /// 4918, section 11.3, for 423).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            SessionRejectionKind::MissingLayer | SessionRejectionKind::Damaged | SessionRejectionKind::NoLeases => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            SessionRejectionKind::Locked => StatusCode::LOCKED,
            SessionRejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            SessionRejectionKind::TwoSessions => StatusCode::BAD_REQUEST,
        }
    }

    /// For [`Locked`](SessionRejectionKind::Locked), after how many seconds to try again, for a `Retry-After` header
    /// (RFC 9110, section 10.2.3): the layer's time to wait, after which all who wait now have had their turn or given
    /// up, or the time of a lease if that is shorter; and at least 1.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let time = self.retry_after?;
        Some(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1))
    }
}

impl From<LoadFailure> for SessionRejection {
    fn from(failure: LoadFailure) -> Self {
        let mut retry_after = None;
        let (kind, source) = match failure {
            LoadFailure::Store(error) => (SessionRejectionKind::Unavailable, Some(error)),
            LoadFailure::Damaged(error) => (SessionRejectionKind::Damaged, Some(error)),
            LoadFailure::TwoSessions => (SessionRejectionKind::TwoSessions, None),
            LoadFailure::Locked { retry_after: time } => {
                retry_after = Some(time);
                (SessionRejectionKind::Locked, None)
            }
            LoadFailure::NoLeases(error) => (SessionRejectionKind::NoLeases, Some(error)),
        };
        Self { kind, source, retry_after }
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
                "the request has two session cookies: sign in again, and if that does not help, delete this site's cookies in \
                 the browser first"
            }
            SessionRejectionKind::Locked => "the session is in use by other requests: try again later",
            SessionRejectionKind::NoLeases => "the session can't be loaded",
        })
    }
}

impl StdError for SessionRejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|error| error as &(dyn StdError + 'static))
    }
}
