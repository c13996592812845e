//! The tower middleware: the layer, its settings, and access to the session of a request.
//!
//! - [`SessionLayer`], and its settings: the [builder](SessionLayerBuilder).
//! - [`SessionService`] and its [`ResponseFuture`]: the request's way in, and the response's way out.
//! - [`SessionHandle`], [`LazySession`]: access to the session.
//! - [`ErrorResponse`]: the responses to session errors.
//! - `headers`: the response headers about the session.
//! - `transport`: detects requests over plain HTTP.

mod builder;
mod error_response;
mod future;
mod headers;
mod layer;
mod lazy;
mod service;
mod session_handle;
mod transport;

#[cfg(feature = "axum")]
pub(crate) use self::error_response::response_in_handler;
pub use self::{
    builder::SessionLayerBuilder,
    error_response::{CustomErrorResponse, DefaultErrorResponse, ErrorResponse},
    future::ResponseFuture,
    layer::SessionLayer,
    lazy::LazySession,
    service::SessionService,
    session_handle::SessionHandle,
};
