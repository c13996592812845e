//! Records that have left the table by eviction or expiry, reported after all locks are released.

use super::slot::{Class, Slot};
use crate::events::{EventKind, Observers};

/// Evicted records, to be reported and dropped after all locks are released.
#[derive(Debug, Default)]
pub(super) struct Evicted(pub(super) Vec<Slot>);

impl Evicted {
    pub(super) fn report(self, observers: &Observers) {
        for slot in self.0 {
            let owned = Class::of(&slot.record) == Class::Owned;
            tracing::info!(target: super::events::TARGET, id = %slot.id, owned, "evicted: the store is full");
            if slot.record.is_session() {
                observers.notify(EventKind::Evicted { id: slot.id, record: &slot.record });
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Reports expired sessions. The caller holds no lock.
pub(super) fn tell_expired<'a>(observers: &Observers, slots: impl IntoIterator<Item = &'a Slot>) {
    if observers.is_empty() {
        return;
    }
    for slot in slots.into_iter().filter(|slot| slot.record.is_session()) {
        observers.notify(EventKind::Expired { id: slot.id, record: Some(&slot.record) });
    }
}
