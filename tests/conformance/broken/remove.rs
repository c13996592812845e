//! Defects of `remove`.

use std::{sync::Arc, time::Duration};

use session_layer::{
    SessionId, SessionStore,
    record::Entries,
    store::{StoreError, StoreErrorKind},
};

use super::{Broken, pause, unknown};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let id = &self.slot(id);
        match self.defect {
            Defect::OutageRemovesAnyway => {
                self.inner.raw().slots.remove(id);
            }
            Defect::LoadsRemoved | Defect::RemovedStaysTaken => {
                if let Some(slot) = self.inner.raw().slots.get(id).cloned() {
                    self.bin.raw().slots.insert(*id, slot);
                }
            }
            Defect::RemoveInTwoSteps => {
                if let Some(stored) = self.inner.load(id).await? {
                    let empty = Arc::new((*stored.record).clone().with_entries(Entries::default()));
                    self.put(id, &empty, stored.usage());
                    pause().await;
                }
            }
            Defect::RemoveAlwaysTrue => {
                self.inner.remove(id).await?;
                return Ok(true);
            }
            Defect::RemoveNotAtomic => {
                let there = self.inner.load(id).await?.is_some();
                pause().await;
                self.inner.remove(id).await?;
                return Ok(there);
            }
            Defect::RemoveRespectsLease => {
                let leased = self.inner.raw().slots.get(id).is_some_and(|slot| slot.lease.is_some());
                if leased {
                    return Err(StoreError::new(StoreErrorKind::Leased).on(id));
                }
            }
            Defect::RemoveWaitsForLease => {
                while self.inner.raw().slots.get(id).is_some_and(|slot| slot.lease.is_some()) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Defect::RemoveReadsFirst => {
                self.inner.load(id).await?;
            }
            Defect::RemoveSentAgain => {
                let removed = self.inner.remove(id).await;
                return if unknown(&removed) { self.inner.remove(id).await } else { removed };
            }
            _ => {}
        }
        self.inner.remove(id).await
    }
}
