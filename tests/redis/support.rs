//! Helpers for these tests.

use std::time::Duration;

use axum::{Router, body::Body, handler::Handler, routing::any};
use http::{Request, StatusCode, header};
use session_layer::{
    RedisStore, SessionId, SessionLayer, SessionStore,
    store::{RedisStoreBuilder, StoreError},
};
use tower::ServiceExt;

pub use crate::sessions::*;
use crate::{
    proxy::Proxy,
    server::{Cluster, Server, wait_until},
};

/// Settings for a server, with short limits.
pub fn builder(server: &Server) -> RedisStoreBuilder {
    RedisStore::builder()
        .server(server.address())
        .connect_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
}

pub fn store(server: &Server) -> RedisStore {
    builder(server).build().expect("good settings")
}

/// A proxy for each node of a cluster, through which clients reach the node. Faults are armed for all proxies together.
pub async fn proxied(cluster: &Cluster) -> Vec<Proxy> {
    let mut proxies: Vec<Proxy> = Vec::new();
    for node in &cluster.nodes {
        let proxy = match proxies.first() {
            Some(first) => first.beside(node.port()).await,
            None => Proxy::start(node.port()).await,
        };
        node.cli(&["CONFIG", "SET", "cluster-announce-port", &proxy.port().to_string()]);
        proxies.push(proxy);
    }
    for node in &cluster.nodes {
        wait_until("all nodes know the announced ports", || {
            let nodes = node.cli(&["CLUSTER", "SLOTS"]).text();
            proxies.iter().all(|proxy| nodes.contains(&proxy.port().to_string()))
        });
    }
    proxies
}

/// The key of a session, as the store writes it.
pub fn key(id: &SessionId) -> String {
    let [first, second, ..] = *id.as_bytes();
    format!("session:{{{:03x}}}:{id}", u16::from(first) << 2 | u16::from(second) >> 6)
}

/// Stores a new session, and returns its id.
pub async fn stored(store: &RedisStore) -> SessionId {
    let id = id();
    created(store, &id, &record(b"1")).await;
    id
}

/// The message of an error's cause.
pub fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// A route behind the layer, and its visitor's browser.
pub struct Site {
    layer: SessionLayer,
    cookie: Option<String>,
}

impl Site {
    pub fn new(store: &(impl SessionStore + Clone)) -> Self {
        Self { layer: SessionLayer::builder(store.clone()).build().expect("good settings"), cookie: None }
    }

    /// Goes on over another store with the same sessions.
    pub fn use_store(&mut self, store: &(impl SessionStore + Clone)) {
        self.layer = SessionLayer::builder(store.clone()).build().expect("good settings");
    }

    /// Sends the browser's cookie to a route with this handler, and stores the cookie from the response.
    pub async fn visit<H: Handler<T, ()>, T: 'static>(&mut self, handler: H) -> StatusCode {
        let router = Router::new().route("/", any(handler)).layer(self.layer.clone());
        let mut request = Request::builder().uri("/");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let reply = router.oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
        for line in reply.headers().get_all(header::SET_COOKIE) {
            let cookie = line.to_str().expect("ASCII").split(';').next().unwrap_or_default();
            self.cookie = (!cookie.ends_with('=')).then(|| cookie.to_owned());
        }
        reply.status()
    }
}
