//! The layer: from HTTP to the session, and back.
//!
//! - [`SessionLayer`], built once, and its [builder](SessionLayerBuilder); `one_at_a_time`, `per_owner`: settings.
//! - [`SessionService`] and its [`ResponseFuture`]: one request's way.
//! - [`SessionHandle`], [`LazySession`]: how a session is asked for.
//! - [`ErrorResponse`]: what a visitor gets if the session fails.
//! - `headers`: the response headers about the session.
//! - `transport`: detects requests over plain HTTP.

mod answer;
mod builder;
mod future;
mod handle;
mod headers;
mod layer;
mod lazy;
mod one_at_a_time;
mod per_owner;
mod service;
mod transport;

#[cfg(feature = "axum")]
pub(crate) use self::answer::response_in_handler;
pub use self::{
    answer::{CustomErrorResponse, DefaultErrorResponse, ErrorResponse},
    builder::SessionLayerBuilder,
    future::ResponseFuture,
    handle::SessionHandle,
    layer::SessionLayer,
    lazy::LazySession,
    service::SessionService,
};
