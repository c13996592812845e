//! The extractors of handlers: axum's and the session's, with errors as JSON.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{FromRequest, FromRequestParts},
    http::request::Parts,
};
use serde::Deserialize;
use session_layer::{Session, SessionId};

use crate::error::Error;

/// The visitor's session.
#[derive(FromRequestParts)]
#[from_request(rejection(Error))]
pub(crate) struct Visitor(pub(crate) Session);

#[derive(FromRequest)]
#[from_request(via(axum::Form), rejection(Error))]
pub(crate) struct Form<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub(crate) struct Query<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(crate) struct Path<T>(pub(crate) T);

/// The id of a session in a request's path. `None` for text that is not an id: then no session has it, which is all
/// that matters.
pub(crate) struct Id(pub(crate) Option<SessionId>);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(text.ok().and_then(|Path(text)| text.parse().ok())))
    }
}

/// The body, whatever its content type: curl sends `application/x-www-form-urlencoded` by default.
#[derive(FromRequest)]
#[from_request(rejection(Error))]
pub(crate) struct Body(pub(crate) axum::body::Bytes);

/// How long a request waits between loading its session and changing it, so that others can get in between:
/// `?delay_ms=N`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Asked")]
pub(crate) struct Delay(Duration);

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    delay_ms: u64,
}

impl Delay {
    /// The longest delay. A stop waits for it.
    pub(crate) const LONGEST: Duration = Duration::from_secs(10);

    pub(crate) async fn wait(self) {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
    }
}

impl TryFrom<Asked> for Delay {
    type Error = String;

    fn try_from(asked: Asked) -> Result<Self, String> {
        let delay = Duration::from_millis(asked.delay_ms);
        if delay > Self::LONGEST {
            return Err(format!("delay_ms is at most {}", Self::LONGEST.as_millis()));
        }
        Ok(Self(delay))
    }
}
