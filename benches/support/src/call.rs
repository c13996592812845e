//! Sends requests without a network.

use axum::{Router, body::Body, response::Response};
use http::{HeaderValue, Request, Uri, header};
use tower::Service;

/// Returns the response to a GET.
pub async fn get(router: &Router, path: &'static str, cookie: Option<&HeaderValue>) -> Response {
    send(&mut router.clone(), &Uri::from_static(path), cookie).await
}

/// Returns the response to a GET, with the arguments prepared in advance.
pub async fn send(router: &mut Router, uri: &Uri, cookie: Option<&HeaderValue>) -> Response {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.clone();
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.clone());
    }
    // axum's routers are always ready.
    match Service::<Request<Body>>::call(router, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Returns the `Cookie` line of a browser that received these lines.
pub fn set_cookies<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
    let line = pairs.collect::<Vec<_>>().join("; ");
    (!line.is_empty()).then(|| HeaderValue::try_from(line).expect("it came in headers"))
}

/// Returns the number in a response's body.
pub async fn number(response: Response) -> u64 {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 100).await.expect("a short body");
    let text = std::str::from_utf8(&body).expect("digits");
    text.parse().unwrap_or_else(|_| panic!("{status} with {text:?} in place of a number"))
}
