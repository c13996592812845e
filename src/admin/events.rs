//! Where the events of this folder are sent.

/// The target of the `tracing` events that this folder adds.
pub(super) const TARGET: &str = "session_layer::sessions";
