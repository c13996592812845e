//! Protection against cross-site request forgery (CSRF).

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::error::Error;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses changes that a page of another origin requests, including other hosts of the same site.
///
/// `SameSite=Lax` keeps the session's cookie out of such a request, but that isn't enough. A form on another site adds
/// to the cart. The request comes without a session and gets a new one, and the new cookie replaces that of the
/// visitor's login. A form could also log the visitor in under the attacker's name.
///
/// Browsers say where a request comes from. A request that doesn't say so is not from a browser, so it carries only its
/// sender's own cookies.
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
    // For browsers from before 2023, and for plain HTTP to another machine. The scheme is not known here.
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    origin.is_some_and(|(_, origin)| host == Some(origin))
}
