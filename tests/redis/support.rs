//! Helpers for these tests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, body::Body, handler::Handler, routing::any};
use http::{Request, StatusCode, header};
use session_layer::{
    DynStore, Lifetime, RedisStore, SessionId, SessionLayer, SessionStore, connect,
    id::{SessionToken, TokenCheck},
    record::{Entries, Epoch, Owner, Record},
    store::{Create, RedisStoreBuilder, StoreError, Stored, Update, Usage, Version},
};
use tower::ServiceExt;

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

/// A fresh id.
pub fn id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// The key of a session, as the store writes it.
pub fn key(id: &SessionId) -> String {
    let [first, second, ..] = *id.as_bytes();
    format!("session:{{{:03x}}}:{id}", u16::from(first) << 2 | u16::from(second) >> 6)
}

/// A session with this value in the entry `n`.
pub fn record(n: &[u8]) -> Arc<Record> {
    let entries = Entries::from_sorted([("n", n)].into_iter()).expect("one entry");
    Arc::new(
        Record::session(TokenCheck::from_bytes([7; 16]), SystemTime::now(), Lifetime::default()).with_entries(entries),
    )
}

/// A session with an owner.
pub fn owned(owner: &str, epoch: u64) -> Arc<Record> {
    let owner = Owner::new(owner, Epoch::from_u64(epoch)).expect("a name");
    Arc::new((*record(b"1")).clone().with_owner(Some(owner)))
}

/// A tombstone like that of a login.
pub fn tombstone() -> Arc<Record> {
    let check = TokenCheck::from_bytes([9; 16]);
    Arc::new(Record::tombstone(check, SystemTime::now(), Duration::from_secs(60), None).expect("random numbers"))
}

pub fn value(stored: &Stored) -> &[u8] {
    stored.record.entries().get("n").expect("the entry n")
}

pub fn usage(record: &Record) -> Usage {
    Usage::at(record, SystemTime::now())
}

pub async fn created(store: &impl SessionStore, id: &SessionId, record: &Arc<Record>) -> Version {
    match store.create(id, record, usage(record)).await.expect("created") {
        Create::Created(version) => version,
        Create::Exists => panic!("the id is taken"),
    }
}

pub async fn loaded(store: &impl SessionStore, id: &SessionId) -> Stored {
    store.load(id).await.expect("the store answers").expect("it is there")
}

/// Opens the store with this URL.
pub async fn open(url: &str) -> DynStore {
    connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A session with this number as its value.
pub fn numbered(n: u64) -> Arc<Record> {
    record(&n.to_le_bytes())
}

pub fn number(stored: &Stored) -> u64 {
    u64::from_le_bytes(value(stored).try_into().expect("8 bytes"))
}

/// Adds one, retrying until it succeeds. Returns `false` if the session is gone.
pub async fn increment(store: &impl SessionStore, id: &SessionId) -> bool {
    loop {
        let Some(held) = store.load(id).await.expect("it answers") else { return false };
        let next = numbered(number(&held) + 1);
        match store.update(id, &next, &held.version, usage(&next)).await.expect("it answers") {
            Update::Updated(_) => return true,
            Update::Conflict(_) => {}
            Update::Gone => return false,
        }
    }
}

/// Stores a new session, and returns its id.
pub async fn stored(store: &RedisStore) -> SessionId {
    let id = id();
    created(store, &id, &record(b"1")).await;
    id
}

/// A random number, different in each run.
pub fn random() -> u64 {
    let (one, two) = id().as_uuid().as_u64_pair();
    one ^ two.rotate_left(17)
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
