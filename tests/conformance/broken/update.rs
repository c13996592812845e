//! Defects of `update`.

use std::sync::Arc;

use session_layer::{
    SessionId, SessionStore,
    record::Record,
    store::{StoreError, StoreErrorKind, Update, Usage, Version},
};

use super::{Broken, pause, unknown};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let (id, record) = (&self.slot(id), &self.mangled(record));
        match self.defect {
            Defect::TornUpdate => {
                if let Some(slot) = self.inner.raw().slots.get_mut(id)
                    && slot.stored.version == *expected
                {
                    slot.stored.record = Arc::clone(record);
                }
                pause().await;
            }
            Defect::UpdateByRemoving => {
                pause().await;
                let old = self.inner.raw().slots.remove(id);
                pause().await;
                let Some(old) = old else { return Ok(Update::Gone) };
                let same = old.stored.version == *expected;
                self.inner.raw().slots.insert(*id, old);
                return Ok(if same { Update::Updated(self.put(id, record, usage)) } else { Update::Conflict(None) });
            }
            Defect::OversizeDestroys if record.entries().as_bytes().len() > crate::reference::LARGEST => {
                self.inner.raw().slots.remove(id);
            }
            Defect::UpdateDropsDamaged => {
                let mut state = self.inner.raw();
                if state.slots.get(id).is_some_and(|slot| slot.damaged) {
                    state.slots.remove(id);
                    return Err(StoreError::new(StoreErrorKind::Corrupt));
                }
            }
            Defect::UpdateIgnoresVersionOfDamaged => {
                let damaged = self.inner.raw().slots.get(id).is_some_and(|slot| slot.damaged);
                if damaged && let Some(stored) = self.raw(id) {
                    return self.inner.update(id, record, &stored.version, usage).await;
                }
            }
            Defect::UpdateCreates if self.inner.load(id).await?.is_none() => {
                return Ok(Update::Updated(self.put(id, record, usage)));
            }
            Defect::UpdateIgnoresVersion => {
                if let Some(stored) = self.inner.load(id).await? {
                    return self.inner.update(id, record, &stored.version, usage).await;
                }
            }
            Defect::UpdateNotAtomic
            | Defect::UpdateRevives
            | Defect::UpdateRevivesRemoved
            | Defect::UpdateRevivesCleared => return self.update_in_two_steps(id, record, expected, usage).await,
            _ => {}
        }
        let before = self.raw(id);
        let updated = self.inner.update(id, record, expected, self.rounded(usage)).await;
        if unknown(&updated) {
            if self.is(Defect::UpdateSentAgain) {
                return self.inner.update(id, record, expected, usage).await;
            }
            if self.is(Defect::UpdateSentAgainOver)
                && let Some(stored) = self.inner.load(id).await?
            {
                return self.inner.update(id, record, &stored.version, usage).await;
            }
        }
        let updated = updated?;
        if let Update::Updated(version) = updated {
            if self.is(Defect::UpdateCapsAtLoad) {
                self.uncap(id, Some(version), usage);
            }
            if let (Defect::UpdateLeavesUse, Some(before)) = (self.defect, &before) {
                self.use_at(id, before.used_at);
            }
        }
        if self.is(Defect::VersionIsContents)
            && let Update::Updated(_) = updated
        {
            return Ok(Update::Updated(self.version_by_contents(id, record)));
        }
        Ok(updated)
    }
}
