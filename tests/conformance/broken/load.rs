//! Defects of `load`, `refresh` and `metadata`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use session_layer::{
    SessionId, SessionStore,
    record::Owner,
    store::{Metadata, OwnerEpoch, Refresh, StoreError, StoreErrorKind, Stored, Tracked, Usage, Version},
};

use super::Broken;
use crate::defects::Defect;

impl Broken {
    pub(super) async fn broken_load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let id = &self.slot(id);
        if self.is(Defect::LoadHoldsFlag) {
            self.flag().await;
            let loaded = self.inner.load(id).await;
            self.flag.store(false, Ordering::SeqCst);
            return loaded;
        }
        if self.is(Defect::LockHoldsFlag) {
            while self.flag.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        if self.is(Defect::ExpiryOffByOne)
            && let Some(stored) = self.raw(id)
            && stored.expires_at == self.inner.now()
        {
            return Ok(Some(stored));
        }
        let loaded = self.inner.load(id).await;
        match (self.defect, &loaded) {
            (Defect::ClosedIsAbsent, Err(_)) if self.inner.raw().closed => Ok(None),
            (Defect::OutageIsAbsent, Err(error)) if error.kind() == StoreErrorKind::Unavailable => Ok(None),
            (Defect::DamagedIsAbsent, Err(error)) if error.kind() == StoreErrorKind::Corrupt => Ok(None),
            (Defect::LoadsRemoved, Ok(None)) => self.bin.load(id).await,
            (Defect::LoadsAnotherVersion, Ok(Some(stored))) => {
                let number = stored.version.to_u64().unwrap_or(0);
                let mut stored = stored.clone();
                stored.version = Version::from_u64(number + 1_000_000);
                Ok(Some(stored))
            }
            (Defect::TrackedForever, Ok(Some(stored))) => Ok(Some(stored.clone().with_tracked(Tracked::new(|| true)))),
            (Defect::EpochOfTheRecord, Ok(Some(stored))) => {
                let epoch = stored.record.owner().map(Owner::epoch);
                Ok(Some(stored.clone().with_owner_epoch(epoch)))
            }
            (Defect::UncappedExpiry, Ok(Some(stored))) => {
                let mut stored = stored.clone();
                stored.expires_at = stored.used_at + Duration::from_secs(86_400);
                Ok(Some(stored))
            }
            (Defect::CreateCapsAtLoad | Defect::UpdateCapsAtLoad | Defect::TouchCapsAtLoad, Ok(Some(stored))) => {
                let capped = Stored::new(Arc::clone(&stored.record), stored.version, stored.usage());
                Ok((!capped.is_expired(self.inner.now())).then_some(capped))
            }
            (Defect::ExpiresEarly, Ok(Some(stored))) => {
                Ok((stored.expires_at > self.inner.now() + Duration::from_secs(1)).then(|| stored.clone()))
            }
            _ => loaded,
        }
    }

    pub(super) async fn broken_refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        if self.is(Defect::RefreshAlwaysSame) {
            return Ok(Refresh::Same { usage: held.usage(), owner_epoch: OwnerEpoch::NotAsked, tracked: None });
        }
        self.inner.refresh(id, held).await
    }

    pub(super) async fn broken_metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        if self.is(Defect::MetadataTouches)
            && let Some(stored) = self.inner.load(id).await?
        {
            self.inner.touch(id, Usage { used_at: self.inner.now(), ..stored.usage() }).await?;
        }
        self.inner.metadata(id).await
    }
}
