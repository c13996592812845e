//! No sessions: the cost of the router, and the cost of any layer.

use std::task::{Context, Poll};

use axum::{Router, routing::get};
use tower::{Layer, Service};

use crate::app::App;

/// As many as the others have, so that routing takes as long.
const PATHS: [&str; 14] = [
    "/untouched",
    "/fill",
    "/read",
    "/write",
    "/create",
    "/home",
    "/cart",
    "/renew",
    "/increment",
    "/slow",
    "/logout",
    "/keys",
    "/n",
    "/user",
];

pub(crate) fn bare(app: App) -> Router {
    let answer = || get(async || "ok");
    PATHS
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, answer()))
        .route("/key/{key}", answer())
        // The state that the others' handlers have: it is copied with them.
        .with_state(app)
}

pub(crate) fn empty(app: App) -> Router {
    bare(app).layer(Nothing)
}

#[derive(Debug, Clone)]
struct Nothing;

#[derive(Debug, Clone)]
struct Through<S>(S);

impl<S> Layer<S> for Nothing {
    type Service = Through<S>;

    fn layer(&self, inner: S) -> Through<S> {
        Through(inner)
    }
}

impl<S: Service<Q>, Q> Service<Q> for Through<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> S::Future {
        self.0.call(request)
    }
}
