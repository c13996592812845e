//! The layer: from HTTP to the session, and back.
//!
//! - [`SessionLayer`], built once, and its [builder](SessionLayerBuilder); `one_at_a_time`, `per_owner`: settings.
//! - [`SessionService`] and its [`ResponseFuture`]: one request's way.
//! - [`SessionHandle`], [`LazySession`], [`SessionRejection`]: how a session is asked for.
//! - [`FailureAnswer`]: what a visitor gets in place of an answer that could not be committed.
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
mod rejection;
mod service;
mod transport;

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
