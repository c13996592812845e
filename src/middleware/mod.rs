//! The layer: from HTTP to the session, and back.
//!
//! - [`SessionLayer`], built once, and its [builder](SessionLayerBuilder); `exclusive` and `sessions_per_owner`: settings
//!   that take a chapter.
//! - [`SessionService`] and its [`ResponseFuture`]: one request's way.
//! - [`SessionHandle`], [`LazySession`]: how a session is asked for.
//! - [`ErrorResponse`]: what a visitor gets if the session fails.
//! - `headers`: the response headers about the session.
//! - `transport`: detects requests over plain HTTP.

mod answer;
mod builder;
mod exclusive;
mod future;
mod handle;
mod headers;
mod layer;
mod lazy;
mod service;
mod sessions_per_owner;
mod transport;
mod turns;

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
