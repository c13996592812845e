//! Where this store's events are sent, and the name that it has in them.

/// The target of this store's events.
pub(super) const TARGET: &str = "session_layer::store::memory";

/// The store's name in events and metrics.
pub(super) const NAME: &str = "memory";
