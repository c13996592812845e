//! Defects of the owners' epochs.

use std::sync::{Arc, atomic::Ordering};

use session_layer::{
    SessionId, SessionStore,
    record::{Epoch, Owner, Record},
    store::{StoreError, Stored, Usage},
};

use super::{Broken, pause};
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        let epoch = self.inner.owner_epoch(owner).await?;
        Ok(epoch.or(self.is(Defect::EpochZero).then(|| Epoch::from_u64(0))))
    }

    pub(super) async fn broken_ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        if let Some(epoch) = self.inner.owner_epoch(owner).await?
            && self.is(Defect::EnsureNeverExtends)
        {
            return Ok(epoch);
        }
        let id = SessionId::for_epoch(owner);
        if self.is(Defect::EnsureExtendsByTouch)
            && let Some(stored) = self.inner.load(&id).await?
            && stored.expires_at < usage.expires_at
            && let Some(epoch) = self.inner.owner_epoch(owner).await?
        {
            pause().await;
            if let Some(slot) = self.inner.raw().slots.get_mut(&id) {
                slot.stored = Stored::new(Arc::clone(&slot.stored.record), slot.stored.version, usage);
            }
            return Ok(epoch);
        }
        if self.is(Defect::EnsureNotAtomic) && self.inner.owner_epoch(owner).await?.is_none() {
            pause().await;
            let epoch = Epoch::generate().unwrap();
            let record = Record::epoch(Owner::new(owner, epoch).unwrap(), usage.used_at);
            self.put(&id, &Arc::new(record), usage);
            return Ok(epoch);
        }
        self.inner.ensure_epoch(owner, usage).await
    }

    pub(super) async fn broken_renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        if self.is(Defect::EpochHoldsFlag) {
            self.flag().await;
            let renewed = self.inner.renew_epoch(owner, usage).await;
            self.flag.store(false, Ordering::SeqCst);
            return renewed;
        }
        if self.is(Defect::RenewDoesNothing) {
            return Ok(());
        }
        self.inner.renew_epoch(owner, usage).await
    }
}
