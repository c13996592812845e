//! The layer: from HTTP to the session, and back.
//!
//! - [`SessionLayer`], built once, and its [builder](SessionLayerBuilder); `exclusive` and `sessions_per_owner`: settings
//!   that take a chapter.
//! - [`SessionService`] and its [`ResponseFuture`]: one request's way.
//! - [`SessionHandle`], [`LazySession`], [`SessionRejection`]: how a session is asked for.
//! - [`FailureAnswer`]: what a visitor gets in place of an answer that could not be committed.
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
mod rejection;
mod service;
mod sessions_per_owner;
mod transport;
mod turns;

pub use self::{
    answer::{EmptyAnswer, FailureAnswer},
    builder::SessionLayerBuilder,
    future::ResponseFuture,
    handle::SessionHandle,
    layer::SessionLayer,
    lazy::LazySession,
    rejection::{SessionRejection, SessionRejectionKind},
    service::SessionService,
};
