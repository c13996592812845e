//! Uses sessions without axum: hyper, tower's `ServiceBuilder`, and the session from the request's extensions.
//!
//! `cargo run --example hyper`, then `curl -i http://127.0.0.1:3000`.

use std::{convert::Infallible, error::Error, pin::pin};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use session_layer::{Key, MemoryStore, SessionHandle, SessionLayer, SessionStore};
use tower::{ServiceBuilder, service_fn};

const VISITS: Key<u64> = Key::new("visits");

async fn home(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = match visit(&request).await {
        Ok(visits) => Response::new(format!("visit {visits}\n").into()),
        Err(_) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    };
    Ok(answer)
}

async fn visit(request: &Request<Incoming>) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let session = SessionHandle::of(request.extensions())?.session(request.headers()).await?;
    Ok(session.update(VISITS, |n| {
        *n += 1;
        *n
    })?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let store = MemoryStore::new();
    let sessions = SessionLayer::new(store.clone());
    let service = ServiceBuilder::new().layer(sessions.clone()).service(service_fn(home));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let connections = GracefulShutdown::new();
    let mut stopped = pin!(stop());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            () = &mut stopped => break,
        };
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        // How a connection ends concerns only its client.
        tokio::spawn(connections.watch(connection.into_owned()));
    }
    // Requests under way are still answered, and their sessions saved.
    connections.shutdown().await;
    // Also finishes the commits of clients that have disconnected.
    sessions.drain().await;
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
