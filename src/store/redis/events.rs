//! The target of this store's events.

pub(super) const TARGET: &str = "session_layer::store::redis";
