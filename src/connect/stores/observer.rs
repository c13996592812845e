//! The observer of a store's events.

use std::sync::Arc;

use crate::events::Observer;

/// The observer of the store's events, if there is one.
pub(in crate::connect) type StoreObserver = Option<Arc<dyn Observer>>;
