//! An event, as an observer receives it.

use std::sync::Arc;

use super::EventKind;
use crate::{id::SessionId, record::Record};

/// An event of a session or of a store, passed to an [`Observer`](crate::Observer).
///
/// It never contains a token or an entry's value, and its `Debug` output has no owner's name. It borrows the record
/// where one is available.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The kind of store: `memory`, `file`, `memcached`, or a custom store's own name.
    pub store: &'static str,
    /// What happened.
    pub kind: EventKind<'a>,
}

impl<'a> Event<'a> {
    /// The event's name, such as `created`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The session in question; after a renewal, the new id.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.kind.id()
    }

    /// The record, if available.
    #[must_use]
    pub fn record(&self) -> Option<&'a Arc<Record>> {
        self.kind.record()
    }
}
