//! The exact number of allocations that a request's session adds to the same router behind a layer that does nothing.
//! The first requests of each kind warm up and are not counted.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::Body,
    response::Response,
    routing::{any, get},
};
use http::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use session_layer::{Key, MemoryStore, Session, SessionLayer};
use tower::{Service, layer::layer_fn};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    email: String,
    roles: Vec<String>,
}

#[derive(Serialize)]
struct Item {
    sku: &'static str,
    title: &'static str,
    count: u32,
    price: u32,
}

const USER: Key<User> = Key::new("user");
const N: Key<u64> = Key::new("n");

/// The benchmark's session: about 0.7 KB.
async fn fill(session: Session) -> Result<(), session_layer::Error> {
    let roles = ["admin", "editor", "reader"].map(str::to_owned).to_vec();
    let user = User { id: 4_711, name: "Ada Lovelace".to_owned(), email: "ada@example.org".to_owned(), roles };
    session.insert(USER, &user)?;
    let item = || Item { sku: "A-10000", title: "a thing", count: 1, price: 1_999 };
    session.insert("cart", [(); 10].map(|()| item()))?;
    session.insert("csrf", "cccccccccccccccccccccccccccccccc")?;
    session.insert(N, &42)
}

async fn untouched() -> &'static str {
    "page"
}

async fn read(session: Session) -> Result<&'static str, session_layer::Error> {
    let user = session.get(USER)?;
    assert!(user.is_some_and(|user| user.roles.len() == 3));
    Ok("page")
}

async fn write(session: Session) -> Result<&'static str, session_layer::Error> {
    let n = session.get(N)?.unwrap_or_default();
    session.insert(N, &(n + 1))?;
    Ok("page")
}

async fn create(session: Session) -> Result<&'static str, session_layer::Error> {
    session.insert(N, &1)?;
    Ok("page")
}

fn routes() -> Router {
    Router::new()
        .route("/untouched", get(untouched))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/create", get(create))
}

fn request(path: &str, cookie: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    request.body(Body::empty()).unwrap()
}

/// Nothing here waits, so one poll completes the request.
fn call(router: &mut Router, request: Request<Body>) -> Response {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(<Router as Service<Request<Body>>>::poll_ready(router, cx).is_ready());
    match pin!(router.call(request)).poll(cx) {
        Poll::Ready(response) => response.unwrap(),
        Poll::Pending => panic!("it waits"),
    }
}

fn allocations(router: &mut Router, path: &str, cookie: Option<&str>) -> u64 {
    let mut counts = Vec::new();
    for _ in 0..20 {
        let request = request(path, cookie);
        let mut status = None;
        let count = allocation_counter::measure(|| status = Some(call(router, request).status())).count_total;
        assert_eq!(status, Some(StatusCode::OK));
        counts.push(count);
    }
    // The first requests warm up; the last ones all cost the same.
    let warm = &counts[10..];
    assert!(warm.iter().all(|count| *count == warm[0]), "{counts:?}");
    warm[0]
}

/// The allocations of a request that stores a new session, in a store that has room for it: its tables grow now and
/// then.
fn allocations_of_create(router: &mut Router) -> u64 {
    for _ in 0..5_000 {
        call(router, request("/create", None));
    }
    let count = |_| {
        let request = request("/create", None);
        allocation_counter::measure(|| drop(call(router, request))).count_total
    };
    let mut counts: Vec<_> = (0..99).map(count).collect();
    counts.sort_unstable();
    counts[counts.len() / 2]
}

#[test]
fn a_session_adds_exactly_the_budgeted_allocations() {
    let mut empty = Router::new()
        .route("/untouched", get(untouched))
        .route("/read", get(untouched))
        .route("/write", get(untouched))
        .route("/create", get(untouched))
        .layer(layer_fn(Empty));
    let mut site = routes().route("/fill", any(fill)).layer(SessionLayer::new(MemoryStore::new()));
    let response = call(&mut site, request("/fill", None));
    let line = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    let cookie = line.split(';').next().unwrap();

    let mut added = |path: &str, cookie: Option<&str>| {
        let base = allocations(&mut empty, path, cookie);
        allocations(&mut site, path, cookie) - base
    };
    let anonymous = added("/untouched", None);
    let untouched = added("/untouched", Some(cookie));
    let read = added("/read", Some(cookie));
    let write = added("/write", Some(cookie));
    let create = allocations_of_create(&mut site) - allocations_of_create(&mut empty);
    assert_eq!((anonymous, untouched, read, write, create), EXACTLY);
}

/// Untouched without a cookie, untouched with one, read (of which 6 are the value's own), write, create.
///
/// `bench-peers` counts one less for each, since its axum has no default features: they put more into a request's
/// extensions before the session's handle is added.
const EXACTLY: (u64, u64, u64, u64, u64) = (4, 4, 10, 9, 10);

/// A service that only calls the inner one.
#[derive(Clone)]
struct Empty<S>(S);

impl<S: Service<R>, R> Service<R> for Empty<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
