//! What happens to sessions: told to the application's observers, and through `tracing`.
//!
//! - [`Observer`]: what the application gives to a layer or a store, to be told.
//! - [`Event`], [`EventKind`]: what it is told; [`NoSessionReason`], [`Outcome`].
//! - `observers`: who listens, if anybody, and the one place where an event is both traced and told.
//! - `trace`: the `tracing` side.

mod event;
mod observer;
mod observers;
mod trace;

pub use self::{
    event::{Event, EventKind, NoSessionReason, Outcome},
    observer::Observer,
};
pub(crate) use self::{observers::Observers, trace::missing_layer};
