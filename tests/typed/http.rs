//! The extractor, through the layer.

use std::{error::Error as StdError, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
    routing::get,
};
use serde::{Deserialize, Serialize};
use session_layer::{Error, MemoryStore, SessionLayer, Typed};
use tokio::sync::Barrier;
use tower::ServiceExt;

use crate::example;

async fn send(app: &Router, method: Method, path: &str, cookie: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// The cookie that the response sets, as a browser sends it back.
fn cookie(response: &Response<Body>) -> Option<String> {
    let line = response.headers().get(header::SET_COOKIE)?.to_str().unwrap();
    Some(line.split(';').next().unwrap().to_owned())
}

async fn text(response: Response<Body>) -> Result<String, Box<dyn StdError>> {
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 4_096).await?;
    Ok(String::from_utf8(body.to_vec())?)
}

#[tokio::test]
async fn the_example_keeps_a_cart_over_a_login() {
    let app = example::app(SessionLayer::new(MemoryStore::new()));
    let response = send(&app, Method::GET, "/", None).await;
    assert_eq!(cookie(&response), None, "a visitor without data gets no cookie");
    assert_eq!(text(response).await.unwrap(), "nobody: 0 visits, cart []\n");

    let response = send(&app, Method::POST, "/cart/pear", None).await;
    let anonymous = cookie(&response).unwrap();
    assert_eq!(text(response).await.unwrap(), "1 in the cart\n");
    let response = send(&app, Method::POST, "/login/bob", Some(&anonymous)).await;
    let bob = cookie(&response).unwrap();
    assert_ne!(bob, anonymous);
    assert_eq!(text(response).await.unwrap(), "visit 1\n");
    let response = send(&app, Method::GET, "/", Some(&bob)).await;
    assert_eq!(cookie(&response), None, "a read sends no cookie");
    assert_eq!(text(response).await.unwrap(), "bob: 1 visits, cart [\"pear\"]\n");
    let response = send(&app, Method::POST, "/cart/plum", Some(&anonymous)).await;
    assert_eq!(response.status(), StatusCode::CONFLICT, "the old token was superseded");
}

#[derive(Default, Serialize, Deserialize)]
struct Page {
    left: u8,
    right: u8,
}

#[tokio::test]
async fn two_requests_at_once_change_two_fields() {
    let barrier = Arc::new(Barrier::new(2));
    let side = |left: bool| {
        let barrier = Arc::clone(&barrier);
        get(async move |page: Typed<Page>| {
            // Both have loaded before one of them writes.
            barrier.wait().await;
            page.update(move |page| if left { page.left += 1 } else { page.right += 1 })
        })
    };
    let layer = SessionLayer::new(MemoryStore::new());
    let app = Router::new().route("/left", side(true)).route("/right", side(false)).layer(layer.clone());
    let session = layer.new_session();
    session.insert("other", &1).unwrap();
    session.save().await.unwrap();
    let cookie = layer.request_cookie(&session).unwrap();
    let cookie = cookie.to_str().unwrap();
    let (left, right) =
        tokio::join!(send(&app, Method::GET, "/left", Some(cookie)), send(&app, Method::GET, "/right", Some(cookie)));
    assert_eq!((left.status(), right.status()), (StatusCode::OK, StatusCode::OK));
    let page = layer.open_session(session.id().unwrap()).await.unwrap().map(Typed::<Page>::new).unwrap();
    let Page { left, right } = page.get().unwrap();
    assert_eq!((left, right), (1, 1));
}

async fn optional(page: Option<Typed<Page>>) -> Result<String, Error> {
    Ok(match page {
        Some(page) => page.get()?.left.to_string(),
        None => "nobody".to_owned(),
    })
}

#[tokio::test]
async fn it_is_optional_and_fails_like_a_session() {
    let layer = SessionLayer::new(MemoryStore::new());
    let app = Router::new().route("/", get(optional));
    assert_eq!(send(&app, Method::GET, "/", None).await.status(), StatusCode::INTERNAL_SERVER_ERROR, "no layer");
    let app = app.layer(layer.clone());
    assert_eq!(text(send(&app, Method::GET, "/", None).await).await.unwrap(), "nobody");

    let session = layer.new_session();
    Typed::<Page>::new(session.clone()).update(|page| page.left = 3).unwrap();
    session.save().await.unwrap();
    let cookie = layer.request_cookie(&session).unwrap();
    let cookie = cookie.to_str().unwrap();
    assert_eq!(text(send(&app, Method::GET, "/", Some(cookie)).await).await.unwrap(), "3");

    session.insert("left", &"hunter2").unwrap();
    session.save().await.unwrap();
    let response = send(&app, Method::GET, "/", Some(cookie)).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap();
    assert_eq!(body, "Internal Server Error", "the inside stays inside");
}
