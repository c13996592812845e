//! Defects of `create`.

use std::sync::Arc;

use session_layer::{
    SessionId, SessionStore,
    record::{Entries, Record},
    store::{Create, StoreError, Usage},
};

use super::{Broken, pause, unknown};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_create(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Create, StoreError> {
        let (id, record) = (&self.slot(id), &self.mangled(record));
        if self.is(Defect::LeaseOutlivesSession) {
            // The last one's, if there was one: its slot may still be there, expired.
            let lease = self.bin.raw().slots.get(id).and_then(|slot| slot.lease);
            let created = self.inner.create(id, record, usage).await;
            if let Some(slot) = self.inner.raw().slots.get_mut(id) {
                slot.lease = lease;
            }
            return created;
        }
        match self.defect {
            Defect::CreateReplaces => return Ok(Create::Created(self.put(id, record, usage))),
            Defect::CreateNotAtomic if self.inner.load(id).await?.is_none() => {
                pause().await;
                return Ok(Create::Created(self.put(id, record, usage)));
            }
            Defect::RemovedStaysTaken if self.bin.load(id).await?.is_some() => return Ok(Create::Exists),
            Defect::CreateInTwoSteps => {
                let empty = Arc::new((**record).clone().with_entries(Entries::default()));
                let created = self.inner.create(id, &empty, usage).await?;
                pause().await;
                return match created {
                    Create::Created(_) => Ok(Create::Created(self.put(id, record, usage))),
                    Create::Exists => Ok(Create::Exists),
                };
            }
            _ => {}
        }
        let created = self.inner.create(id, record, self.rounded(usage)).await;
        if self.is(Defect::CreateSentAgain) && unknown(&created) {
            return self.inner.create(id, record, usage).await;
        }
        let created = created?;
        if self.is(Defect::CreateCapsAtLoad)
            && let Create::Created(version) = created
        {
            self.uncap(id, Some(version), usage);
        }
        if self.is(Defect::ListsCreatedOnly)
            && let Create::Created(_) = created
        {
            self.bin.raw().put(id, record, usage);
        }
        if self.is(Defect::VersionIsContents)
            && let Create::Created(_) = created
        {
            return Ok(Create::Created(self.version_by_contents(id, record)));
        }
        if self.is(Defect::SharesSlots) && created == Create::Exists {
            return Ok(Create::Created(self.put(id, record, usage)));
        }
        Ok(created)
    }
}
