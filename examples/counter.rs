//! Counts a visitor's visits: `cargo run --example counter`, then open http://localhost:3000 and reload.

use axum::{Router, routing::get};
use session_layer::{Key, MemoryStore, Session, SessionLayer, SessionStore};

const VISITS: Key<u64> = Key::new("visits");

async fn home(session: Session) -> Result<String, session_layer::Error> {
    let visits = session.update(VISITS, |n| {
        *n += 1;
        *n
    })?;
    Ok(format!("visit {visits}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MemoryStore::new();
    let app = Router::new().route("/", get(home)).layer(SessionLayer::new(store.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).with_graceful_shutdown(stop()).await?;
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
