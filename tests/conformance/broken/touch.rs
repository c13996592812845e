//! Defects of `touch`.

use std::sync::Arc;

use session_layer::{
    SessionId, SessionStore,
    record::Record,
    store::{StoreError, StoreErrorKind, Stored, Touch, Usage},
};

use super::{Broken, pause};
use crate::{defects::Defect, reference::Slot};

impl Broken {
    pub(super) async fn broken_touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let id = &self.slot(id);
        match self.defect {
            Defect::TouchRevivesExpired => {
                if let Some(stored) = self.raw(id) {
                    let record = Arc::clone(&stored.record);
                    let touched = Stored::new(record, stored.version, usage);
                    self.inner.raw().slots.insert(*id, Slot::new(touched));
                }
            }
            Defect::ForgetsTouch => {
                return Ok(if self.inner.load(id).await?.is_some() { Touch::Touched } else { Touch::Gone });
            }
            Defect::TouchByRemoving => {
                pause().await;
                let old = self.inner.raw().slots.remove(id);
                pause().await;
                if let Some(old) = old {
                    self.inner.raw().slots.insert(*id, old);
                }
            }
            Defect::TouchChangesVersion => {
                if let Some(stored) = self.inner.load(id).await? {
                    self.put(id, &stored.record, usage);
                    return Ok(Touch::Touched);
                }
            }
            Defect::TouchCreates if self.inner.load(id).await?.is_none() => {
                let check = session_layer::id::TokenCheck::from_bytes([0; 16]);
                let empty = Record::session(check, usage.used_at, session_layer::Lifetime::default());
                self.put(id, &Arc::new(empty), usage);
                return Ok(Touch::Touched);
            }
            Defect::TouchRevives | Defect::EndLosesToTouch => {
                let Some(mut stored) = self.inner.load(id).await? else { return Ok(Touch::Gone) };
                pause().await;
                stored.expires_at = usage.expires_at;
                self.inner.raw().slots.insert(*id, Slot::new(stored));
                return Ok(Touch::Touched);
            }
            Defect::TouchShortens => {
                let touched = self.inner.touch(id, usage).await?;
                if let Some(slot) = self.inner.raw().slots.get_mut(id) {
                    slot.stored = Stored::new(Arc::clone(&slot.stored.record), slot.stored.version, usage);
                }
                return Ok(touched);
            }
            Defect::TouchBeyondLimit => {
                let touched = self.inner.touch(id, usage).await?;
                if let Some(slot) = self.inner.raw().slots.get_mut(id) {
                    slot.stored.expires_at = usage.expires_at;
                }
                return Ok(touched);
            }
            Defect::TouchCapsAtLoad => {
                let touched = self.inner.touch(id, usage).await?;
                self.uncap(id, None, usage);
                return Ok(touched);
            }
            Defect::TouchLeavesUse => {
                let before = self.raw(id);
                let touched = self.inner.touch(id, usage).await?;
                if let Some(before) = before {
                    self.use_at(id, before.used_at);
                }
                return Ok(touched);
            }
            Defect::TouchSaidUndone => {
                return self.inner.touch(id, usage).await.map_err(|error| match error.kind() {
                    StoreErrorKind::OutcomeUnknown => StoreError::new(StoreErrorKind::Unavailable),
                    _ => error,
                });
            }
            _ => {}
        }
        self.inner.touch(id, self.rounded(usage)).await
    }
}
