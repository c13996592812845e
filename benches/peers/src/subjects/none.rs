//! No sessions: what the router costs, and what any layer costs.

use std::task::{Context, Poll};

use axum::{Router, routing::get};
use tower::{Layer, Service};

use crate::gate::Gate;

pub(crate) fn bare(gate: Gate) -> Router {
    let answer = || get(async || "ok");
    ["/untouched", "/seed", "/read", "/write", "/create", "/increment", "/slow", "/logout", "/keys", "/n", "/user"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, answer()))
        .route("/key/{key}", answer())
        // The state of the others' handlers: it is copied with them.
        .with_state(gate)
}

pub(crate) fn empty(gate: Gate) -> Router {
    bare(gate).layer(Nothing)
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
