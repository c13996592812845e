//! How to test handlers that use sessions: `cargo test --example testing`.
//!
//! Two ways: a `Session` without HTTP for what only changes a session, and a request with the cookie of a session that
//! was prepared beforehand for a whole route.

use axum::{Router, http::StatusCode, routing::get};
use session_layer::{Key, Session, SessionLayer};

const CART: Key<Vec<String>> = Key::new("cart");

/// A function to be tested without HTTP...
fn add_to_cart(session: &Session, sku: &str) -> Result<usize, session_layer::Error> {
    let sku = sku.to_owned();
    session.update(CART, move |cart| {
        cart.push(sku.clone());
        cart.len()
    })
}

/// ... and as a route.
async fn checkout(session: Session) -> Result<(StatusCode, String), session_layer::Error> {
    let cart = session.take(CART)?.unwrap_or_default();
    Ok(match (session.owner(), cart.len()) {
        (None, _) => (StatusCode::UNAUTHORIZED, "sign in first".to_owned()),
        (Some(_), 0) => (StatusCode::BAD_REQUEST, "the cart is empty".to_owned()),
        (Some(owner), items) => (StatusCode::OK, format!("{owner} bought {items}")),
    })
}

fn app(layer: SessionLayer) -> Router {
    Router::new().route("/checkout", get(checkout)).layer(layer)
}

fn main() {
    let _ = (add_to_cart, app);
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use session_layer::MemoryStore;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn adding_without_http() {
        let session = Session::new(MemoryStore::new());
        assert_eq!(add_to_cart(&session, "A1").unwrap(), 1);
        assert_eq!(add_to_cart(&session, "B2").unwrap(), 2);
        assert_eq!(session.get(CART).unwrap().unwrap(), ["A1", "B2"]);
    }

    #[tokio::test]
    async fn checking_out_as_bob() {
        let layer = SessionLayer::new(MemoryStore::new());
        // Prepared without a request...
        let session = layer.new_session();
        session.login("bob").unwrap();
        add_to_cart(&session, "A1").unwrap();
        session.save().await.unwrap();
        // ... and sent along with one.
        let cookie = layer.request_cookie(&session).unwrap();
        let request = Request::get("/checkout").header("cookie", cookie).body(Body::empty()).unwrap();
        let response = app(layer).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        assert_eq!(body, "bob bought 1");
    }

    #[tokio::test]
    async fn checking_out_as_nobody() {
        let layer = SessionLayer::new(MemoryStore::new());
        let response = app(layer).oneshot(Request::get("/checkout").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}
