//! What handlers ask for: axum's extractors and the session's, with errors as JSON.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts};
use serde::Deserialize;
use session_layer::Session;

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

/// The body, whatever its type says: curl says `application/x-www-form-urlencoded` unless it is told.
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
    /// The longest. A stop waits for it.
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
