//! A session that is one struct: log in, fill a cart, and lose nothing when two tabs are busy at once.
//!
//! ```text
//! cargo run --example typed
//! curl -c jar -b jar -X POST http://127.0.0.1:3000/login/bob
//! curl -c jar -b jar -X POST http://127.0.0.1:3000/cart/pear
//! curl -c jar -b jar http://127.0.0.1:3000/
//! ```

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use session_layer::{CookieConfig, Error, MemoryStore, SessionLayer, SessionStore, Typed};
use tower_http::csrf::CsrfLayer;

/// The session of a visitor. Each field is one entry.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Shop {
    user: Option<String>,
    visits: u64,
    cart: Vec<String>,
}

async fn home(shop: Typed<Shop>) -> Result<String, Error> {
    let Shop { user, visits, cart } = shop.get()?;
    Ok(format!("{}: {visits} visits, cart {cart:?}\n", user.as_deref().unwrap_or("nobody")))
}

async fn log_in(shop: Typed<Shop>, Path(name): Path<String>) -> Result<String, Error> {
    // A new token, so that somebody who planted the old one is not logged in as well. The cart is kept.
    shop.session().login(&name)?;
    let visits = shop.update(move |shop| {
        shop.user = Some(name.clone());
        shop.visits += 1;
        shop.visits
    })?;
    Ok(format!("visit {visits}\n"))
}

async fn add(shop: Typed<Shop>, Path(sku): Path<String>) -> Result<String, Error> {
    // If another request wrote in between, this runs again on the newer values. A field that it doesn't change is kept.
    let items = shop.update(move |shop| {
        shop.cart.push(sku.clone());
        shop.cart.len()
    })?;
    Ok(format!("{items} in the cart\n"))
}

pub(crate) fn app(layer: SessionLayer) -> Router {
    let routes = Router::new().route("/", get(home)).route("/login/{name}", post(log_in));
    // A form on another site could log the visitor in as somebody else. It needs no cookie, so `SameSite` doesn't
    // prevent it.
    routes.route("/cart/{sku}", post(add)).layer(layer).layer(CsrfLayer::new())
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a command speaks by printing")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // For development without TLS. Chrome, Firefox and curl accept a `Secure` cookie from a loopback address, but
    // Safari and clients such as Python's don't send it back.
    let store = MemoryStore::new();
    let layer = SessionLayer::builder(store.clone()).cookie(CookieConfig::default().secure(false)).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app(layer.clone())).with_graceful_shutdown(stop()).await?;
    layer.drain().await;
    Ok(store.close().await?)
}

/// Completes on Ctrl-C, or when a service manager stops the process.
async fn stop() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
