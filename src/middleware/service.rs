//! The service: puts a handle into each request.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{DefaultErrorResponse, ErrorResponse, ResponseFuture, SessionHandle};
use crate::{events::EventKind, session};

/// The service that [`SessionLayer`](super::SessionLayer) creates. It puts a [`SessionHandle`] into each request's
/// extensions, and commits when the inner service has answered.
///
/// The inner service can be any `Service<Request<_>, Response = Response<_>>`. It needs no other bounds, such as `Clone`
/// or `Send`.
#[derive(Debug, Clone)]
pub struct SessionService<S, R = DefaultErrorResponse> {
    inner: S,
    context: Arc<session::Context>,
    error_response: R,
}

impl<S, R> SessionService<S, R> {
    pub(super) fn new(inner: S, context: Arc<session::Context>, error_response: R) -> Self {
        Self { inner, context, error_response }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, Q, B> Service<Request<Q>> for SessionService<S, R>
where
    S: Service<Request<Q>, Response = Response<B>>,
    R: ErrorResponse<B> + Clone,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Result<Response<B>, S::Error>, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let context = &self.context;
        let extensions = request.extensions_mut();
        let outer = extensions.get::<SessionHandle>();
        if outer.is_some_and(|outer| outer.is_named(context.settings.cookie.name())) {
            // Two sessions with one cookie name would overwrite each other's cookie.
            if !context.nested.swap(true, Ordering::Relaxed) {
                context.emit(EventKind::NestedLayer { cookie: context.settings.cookie.name() });
            }
            return ResponseFuture::new(self.inner.call(request), None, self.error_response.clone());
        }
        let handle = SessionHandle::new(Arc::clone(context), outer.cloned());
        extensions.insert(handle.clone());
        ResponseFuture::new(self.inner.call(request), Some(handle), self.error_response.clone())
    }
}
