//! Where this store's events are sent.

/// The target of this store's events.
pub(super) const TARGET: &str = "session_layer::store::sql";
