//! Emits session events, to the application's observers and through `tracing`.
//!
//! - [`Observer`]: the trait that an application implements to be notified; given to a layer or a store.
//! - [`Event`], [`EventKind`]: the events; [`NoSessionReason`], [`DropReason`], [`Outcome`]: parts of them.
//! - `MetricsObserver`: events as metrics (feature `metrics`).
//! - `accessors`: the name of a kind, and the session and the record that it is about.
//! - `observers`: the registered observers; emits each event of a session.
//! - `trace`, `span`: the `tracing` side. Steps in ending an owner's sessions that no observer needs are only traced.

mod accessors;
mod event;
mod kind;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod observers;
mod outcome;
mod reason;
pub(crate) mod span;
pub(crate) mod trace;

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsObserver;
pub use self::{
    event::Event,
    kind::EventKind,
    observer::Observer,
    outcome::Outcome,
    reason::{DropReason, NoSessionReason},
};
pub(crate) use self::{observers::Observers, trace::missing_layer};
