//! Without axum: hyper, tower's `ServiceBuilder`, and the session from the request's extensions.
//!
//! `cargo run --example hyper`, then `curl -i http://127.0.0.1:3000`.

use std::{convert::Infallible, error::Error};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use session_layer::{Key, MemoryStore, SessionHandle, SessionLayer};
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
    let service = ServiceBuilder::new().layer(SessionLayer::new(MemoryStore::new())).service(service_fn(home));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // What one connection ends with is its client's concern.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
