//! What the response must say about the session.

use std::time::Duration;

use http::HeaderValue;

use crate::id::SessionToken;

/// What the response must say about the session.
#[derive(Debug, Default)]
pub(crate) struct ResponseNotes {
    /// The token to set, and for how long the browser may keep it (`None`: until the browser is closed).
    pub(crate) cookie: Option<(SessionToken, Option<Duration>)>,
    /// This request destroyed the session that the cookie named.
    pub(crate) destroyed: bool,
    /// The request brought the cookies of two live sessions, and was refused.
    pub(crate) two_sessions: bool,
    /// `Set-Cookie` values that remove other cookies of the same name, if the request brought several.
    pub(crate) removals: Vec<HeaderValue>,
    /// The request seems to have come over plain HTTP, where a browser drops a `Secure` cookie.
    pub(crate) over_http: bool,
}
