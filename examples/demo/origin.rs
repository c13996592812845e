//! Requests that another site makes the visitor's browser send (CSRF).

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::error::Error;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses changes that a page of another origin asks for, other hosts of the same site included.
///
/// The cookie's `SameSite=Lax` keeps the session out of such a request, and that is not all there is to it: a form of
/// another site that adds to the cart comes without a session, gets a new one, and its cookie would take the place of the
/// visitor's login. And a login could be made to shop under the attacker's name.
///
/// Browsers say where a request comes from. What says nothing is no browser, and nobody's cookies are in it but its own.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_own(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    Error::new(StatusCode::FORBIDDEN, "a page of another site asked for this").into_response()
}

fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    // Browsers of before 2023, and plain HTTP to another machine. The scheme is not known here.
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    origin.is_some_and(|(_, origin)| host == Some(origin))
}
