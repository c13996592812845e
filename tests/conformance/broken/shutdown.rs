//! Defects of `flush` and `close`.

use std::sync::{Arc, atomic::Ordering};

use session_layer::{
    SessionStore,
    store::{StoreError, StoreErrorKind, Stored},
};

use super::{Broken, hour_later};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_flush(&self) -> Result<(), StoreError> {
        if self.is(Defect::FlushTouches) {
            for slot in self.inner.raw().slots.values_mut() {
                let usage = hour_later(slot.stored.usage());
                slot.stored = Stored::new(Arc::clone(&slot.stored.record), slot.stored.version, usage);
            }
        }
        self.inner.flush().await
    }

    pub(super) async fn broken_close(&self) -> Result<(), StoreError> {
        if self.is(Defect::SecondCloseFails) && self.closed.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(StoreError::new(StoreErrorKind::Unavailable).during("close"));
        }
        self.inner.close().await
    }
}
