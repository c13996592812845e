//! Stores that are broken on purpose, each in one way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_layer::{
    Clock, DynStore, SessionId, SessionStore,
    conformance::{self, Harness},
    record::{Entries, Epoch, Owner, Record, RecordKind},
    store::{
        Clearing, Create, Cursor, End, Holder, Idle, Leases, Listing, Lock, Metadata, Owned, OwnerEpoch, Owners, Page,
        Refresh, Rename, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version,
    },
};

use crate::{
    defects::Defect,
    reference::{Reference, Slot},
};

#[derive(Clone)]
pub(crate) struct Broken {
    inner: Reference,
    defect: Defect,
    flag: Arc<AtomicBool>,
    closed: Arc<AtomicUsize>,
    bin: Reference,
}

impl Broken {
    pub(crate) async fn harness(defect: Defect) -> Harness {
        let clock = conformance::manual_clock();
        let reads = match defect {
            Defect::ReadsAnotherClock => Clock::manual(clock.now()),
            _ => clock.clone(),
        };
        let reference = Reference::new(reads);
        let bin = Reference::new(Clock::manual(UNIX_EPOCH));
        let (flag, closed) = (Arc::default(), Arc::default());
        let broken = move |inner| {
            let (flag, closed) = (Arc::clone(&flag), Arc::clone(&closed));
            DynStore::new(Self { inner, defect, flag, closed, bin: bin.clone() })
        };
        let harness = Reference::harness(&clock, &reference, broken).rounds(20);
        match defect {
            // These hang: that is how they are caught.
            Defect::LoadHoldsFlag
            | Defect::LockHoldsFlag
            | Defect::UnlockHoldsFlag
            | Defect::EpochHoldsFlag
            | Defect::RemoveWaitsForLease
            | Defect::EndWaitsForLease
            | Defect::WaiterSleeps => harness.patience(Duration::from_millis(500)),
            _ => harness,
        }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    /// Waits while another call has set the flag.
    async fn flag(&self) {
        while self.flag.swap(true, Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The raw record as it is stored, expired or not.
    fn raw(&self, id: &SessionId) -> Option<Stored> {
        self.inner.raw().slots.get(id).map(|slot| slot.stored.clone())
    }

    fn put(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Version {
        self.inner.raw().put(id, record, usage)
    }

    /// Compares and writes in two steps.
    async fn update_in_two_steps(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        match self.inner.load(id).await? {
            None => Ok(Update::Gone),
            Some(stored) if stored.version != *expected => Ok(Update::Conflict(None)),
            Some(_) => {
                pause().await;
                Ok(Update::Updated(self.put(id, record, usage)))
            }
        }
    }

    /// What is stored in place of this record.
    fn mangled(&self, record: &Arc<Record>) -> Arc<Record> {
        let record = Arc::clone(record);
        match self.defect {
            Defect::LosesOwner => (*record).clone().with_owner(None).into(),
            Defect::LosesKind if record.kind() == RecordKind::Sealed => {
                (*record).clone().with_kind(RecordKind::Session).into()
            }
            Defect::CutsAtZero => {
                let pairs: Vec<_> = record
                    .entries()
                    .iter()
                    .map(|(key, value)| (key, value.split(|byte| *byte == 0).next().unwrap_or_default()))
                    .collect();
                let entries = Entries::from_sorted(pairs.into_iter()).unwrap();
                (*record).clone().with_entries(entries).into()
            }
            _ => record,
        }
    }

    /// The slot of this id.
    fn slot(&self, id: &SessionId) -> SessionId {
        if !self.is(Defect::SharesSlots) {
            return *id;
        }
        let nibble = usize::from(id.as_bytes()[0] >> 4);
        SessionId::of_owner(&format!("slot {nibble}"))
    }
}

/// Whether nobody knows what came of it.
fn unknown<T>(answer: &Result<T, StoreError>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::OutcomeUnknown)
}

async fn pause() {
    tokio::task::yield_now().await;
}

fn hour_later(usage: Usage) -> Usage {
    Usage { expires_at: usage.expires_at + Duration::from_secs(3_600), ..usage }
}

impl SessionStore for Broken {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
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

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
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
            && let Create::Created(_) = created
        {
            self.uncap(id, usage);
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

    async fn update(
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
        if let Update::Updated(_) = updated {
            if self.is(Defect::UpdateCapsAtLoad) {
                self.uncap(id, usage);
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

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
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
                let check = session_layer::id::Check::from_bytes([0; 16]);
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
                self.uncap(id, usage);
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

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
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
                    return Err(StoreError::new(StoreErrorKind::Locked).on(id));
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

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        let id = &self.slot(id);
        match self.defect {
            Defect::ForgetsEnd => {
                return Ok(if self.inner.load(id).await?.is_some() { End::Ended } else { End::Gone });
            }
            Defect::EndIgnoresVersion => {
                return Ok(if self.inner.remove(id).await? { End::Ended } else { End::Gone });
            }
            Defect::EndAlwaysEnds => {
                return Ok(match self.inner.end(id, expected, now).await? {
                    End::Gone => End::Ended,
                    outcome => outcome,
                });
            }
            Defect::EndByRemoving | Defect::EndsTwice => {
                match self.inner.load(id).await? {
                    None => return Ok(End::Gone),
                    Some(stored) if stored.version != *expected => return Ok(End::Conflict(None)),
                    Some(_) => pause().await,
                }
                let removed = self.inner.remove(id).await?;
                return Ok(if removed || self.is(Defect::EndsTwice) { End::Ended } else { End::Gone });
            }
            Defect::EndSentAgain => {
                let ended = self.inner.end(id, expected, now).await;
                return if unknown(&ended) { self.inner.end(id, expected, now).await } else { ended };
            }
            Defect::EndWaitsForLease => {
                while self.inner.raw().slots.get(id).is_some_and(|slot| slot.lease.is_some()) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            _ => {}
        }
        self.inner.end(id, expected, now).await
    }

    async fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let Some(held) = self.inner.load(from).await? else { return Ok(Rename::Gone) };
        let buried = Usage::at(tombstone, usage.used_at);
        if self.is(Defect::RenameLeavesTarget) {
            self.inner.create(to, record, usage).await?;
        }
        if held.version != *expected {
            return Ok(Rename::Conflict(None));
        }
        match self.defect {
            Defect::TombstoneFirst => match self.inner.update(from, tombstone, expected, buried).await? {
                Update::Updated(_) => {
                    pause().await;
                    Ok(Rename::Renamed(self.put(to, record, usage)))
                }
                Update::Conflict(_) => Ok(Rename::Conflict(None)),
                Update::Gone => Ok(Rename::Gone),
            },
            Defect::RenameOwnTombstone => {
                let own = Arc::new(Record::tombstone(held.record.check(), usage.used_at));
                self.inner.rename(from, expected, &own, to, record, usage).await
            }
            Defect::RenameWithoutTombstone => match self.inner.create(to, record, usage).await? {
                Create::Created(version) => {
                    self.inner.remove(from).await?;
                    Ok(Rename::Renamed(version))
                }
                Create::Exists => Ok(Rename::Exists),
            },
            Defect::RenameReplaces => {
                let version = self.put(to, record, usage);
                self.inner.update(from, tombstone, expected, buried).await?;
                Ok(Rename::Renamed(version))
            }
            Defect::RenameRollsBack => {
                let Create::Created(version) = self.inner.create(to, record, usage).await? else {
                    return Ok(Rename::Exists);
                };
                match self.inner.update(from, tombstone, expected, buried).await? {
                    Update::Updated(_) => Ok(Rename::Renamed(version)),
                    _ => {
                        self.put(from, &held.record, held.usage());
                        self.inner.remove(to).await?;
                        Ok(Rename::Gone)
                    }
                }
            }
            Defect::RenameLosesUpdates => match self.inner.create(to, record, usage).await? {
                Create::Created(version) => {
                    pause().await;
                    self.put(from, tombstone, buried);
                    Ok(Rename::Renamed(version))
                }
                Create::Exists => Ok(Rename::Exists),
            },
            Defect::RenameSentAgain => {
                let renamed = self.inner.rename(from, expected, tombstone, to, record, usage).await;
                if unknown(&renamed) {
                    return self.inner.rename(from, expected, tombstone, to, record, usage).await;
                }
                renamed
            }
            Defect::RenameLeavesUse => {
                let renamed = self.inner.rename(from, expected, tombstone, to, record, usage).await?;
                self.use_at(to, held.used_at);
                Ok(renamed)
            }
            _ => self.inner.rename(from, expected, tombstone, to, record, usage).await,
        }
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        if self.is(Defect::RefreshAlwaysSame) {
            return Ok(Refresh::Same { usage: held.usage(), owner_epoch: OwnerEpoch::NotAsked });
        }
        self.inner.refresh(id, held).await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        let epoch = self.inner.owner_epoch(owner).await?;
        Ok(epoch.or(self.is(Defect::EpochZero).then(|| Epoch::from_u64(0))))
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        if let Some(epoch) = self.inner.owner_epoch(owner).await?
            && self.is(Defect::EnsureNeverExtends)
        {
            return Ok(epoch);
        }
        let id = SessionId::of_owner(owner);
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

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
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

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        if self.is(Defect::MetadataTouches)
            && let Some(stored) = self.inner.load(id).await?
        {
            self.inner.touch(id, Usage { used_at: self.inner.now(), ..stored.usage() }).await?;
        }
        self.inner.metadata(id).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        if self.is(Defect::FlushTouches) {
            for slot in self.inner.raw().slots.values_mut() {
                let usage = hour_later(slot.stored.usage());
                slot.stored = Stored::new(Arc::clone(&slot.stored.record), slot.stored.version, usage);
            }
        }
        self.inner.flush().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.is(Defect::SecondCloseFails) && self.closed.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(StoreError::new(StoreErrorKind::Unavailable).during("close"));
        }
        self.inner.close().await
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl Listing for Broken {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        if self.is(Defect::IdsByBucket) {
            let (state, now) = (self.inner.raw(), self.inner.now());
            let live = |slot: &Slot| slot.stored.record.is_session() && !slot.stored.is_expired(now);
            let named = state.slots.iter().filter(|(_, slot)| live(slot));
            let buckets = state.slots.len().next_power_of_two() as u64;
            let bucket = |id: &SessionId| id.as_uuid().as_u64_pair().1 % buckets;
            let mut left: Vec<_> = named.map(|(id, _)| (bucket(id), *id)).collect();
            left.retain(|(bucket, _)| *bucket >= from.to_u64().unwrap_or(0));
            left.sort_unstable();
            // Whole buckets, so that a position lies between two of them.
            let first = left.first().map(|(bucket, _)| *bucket);
            let next = left.iter().skip(limit).map(|(bucket, _)| *bucket).find(|next| Some(*next) > first);
            left.retain(|(bucket, _)| next.is_none_or(|next| *bucket < next));
            return Ok(Page { ids: left.into_iter().map(|(_, id)| id).collect(), next: next.map(Cursor::from_u64) });
        }
        let everything = self.is(Defect::IdsNameEverything);
        if everything || self.is(Defect::IdsByOffset) {
            let state = self.inner.raw();
            let named = |slot: &Slot| everything || slot.stored.record.is_session();
            let mut ids: Vec<_> = state.slots.iter().filter(|(_, slot)| named(slot)).map(|(id, _)| *id).collect();
            ids.sort_unstable();
            let start = usize::try_from(from.to_u64().unwrap_or(0)).unwrap_or(usize::MAX);
            let end = start.saturating_add(limit);
            let next = (end < ids.len()).then(|| Cursor::from_u64(end as u64));
            return Ok(Page { ids: ids.into_iter().skip(start).take(limit).collect(), next });
        }
        self.inner.ids(from, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        if self.is(Defect::CountsEverything) {
            return Ok(self.inner.raw().slots.len() as u64);
        }
        self.inner.count().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        if self.is(Defect::SweepRemovesLive) {
            self.inner.raw().slots.retain(|_, slot| !slot.stored.record.is_session());
        }
        let swept = self.inner.sweep().await?;
        Ok(if self.is(Defect::SweepCountsNothing) { Swept { deleted: 0, ..swept } } else { swept })
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        let (now, defect) = (self.inner.now(), self.defect);
        let stays = |slot: &Slot| {
            let Stored { record, used_at, .. } = &slot.stored;
            let since = |time| now.duration_since(time).unwrap_or_default();
            match defect {
                Defect::IdleIgnoresThrottle => !record.is_session() || since(*used_at) <= idle.unused_for(),
                Defect::IdleIgnoresUse => !record.is_session() || since(record.created_at()) <= idle.unused_for(),
                Defect::IdleEpochsDeleted => since(*used_at) <= idle.unused_for(),
                _ => true,
            }
        };
        self.inner.raw().slots.retain(|_, slot| stays(slot));
        self.inner.delete_idle(idle).await
    }
}

#[async_trait::async_trait]
impl Clearing for Broken {
    async fn clear(&self) -> Result<u64, StoreError> {
        if self.is(Defect::ClearLeavesEpochs) {
            let count = self.inner.count().await?;
            self.inner.raw().slots.retain(|_, slot| slot.stored.record.kind() == RecordKind::Epoch);
            return Ok(count);
        }
        if self.is(Defect::ClearsOneByOne) {
            let count = self.inner.count().await?;
            let ids: Vec<_> = self.inner.raw().slots.keys().copied().collect();
            for id in ids {
                pause().await;
                self.inner.raw().slots.remove(&id);
            }
            return Ok(count);
        }
        self.inner.clear().await
    }
}

#[async_trait::async_trait]
impl Owners for Broken {
    async fn list_owner(&self, owner: &str) -> Result<Vec<Owned>, StoreError> {
        let mut listed = self.inner.list_owner(owner).await?;
        let (state, now) = (self.inner.raw(), self.inner.now());
        let taken = state.slots.iter().filter(|(_, Slot { stored, .. })| {
            let held = stored.record.owner().map(Owner::name);
            let confused = held.is_some_and(|held| **held != *owner && self.confuses(owner, held));
            confused && stored.record.is_session() && !stored.is_expired(now)
        });
        listed.extend(taken.map(|(id, slot)| Owned::new(*id).with_stored(slot.stored.clone())));
        match self.defect {
            Defect::ListsOnePage => listed.truncate(100),
            Defect::ListsCreatedOnly => {
                let bin = self.bin.raw();
                listed.retain(|owned| {
                    let was = bin.slots.get(&owned.id).and_then(|slot| slot.stored.record.owner());
                    was.is_some_and(|was| **was.name() == *owner)
                });
            }
            _ => {}
        }
        Ok(listed)
    }
}

#[async_trait::async_trait]
impl Leases for Broken {
    async fn lock(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Lock, StoreError> {
        match self.defect {
            Defect::LockHoldsFlag => {
                self.flag().await;
                let locked = self.inner.lock(id, holder, time).await;
                self.flag.store(false, Ordering::SeqCst);
                return locked;
            }
            Defect::LeaseOutlivesSession => {
                let locked = self.inner.lock(id, holder, time).await;
                if let Some(slot) = self.inner.raw().slots.get(id).cloned() {
                    self.bin.raw().slots.insert(*id, slot);
                }
                return locked;
            }
            Defect::EveryoneHolds => {
                if let Some(slot) = self.inner.raw().slots.get_mut(id) {
                    slot.lease = None;
                }
            }
            Defect::LockNotAtomic => {
                let now = self.inner.now();
                let free = |slot: &Slot| slot.lease.is_none_or(|(held, until)| held == holder || until <= now);
                let free = self.inner.raw().slots.get(id).is_some_and(free);
                pause().await;
                if free && let Some(slot) = self.inner.raw().slots.get_mut(id) {
                    slot.lease = Some((holder, now + time));
                    return Ok(Lock::acquired(now + time));
                }
            }
            Defect::LockRevives | Defect::LockLosesUpdate => {
                let locked = self.inner.lock(id, holder, time).await?;
                if let Lock::Acquired { .. } = locked {
                    let slot = self.inner.raw().slots.get(id).cloned();
                    pause().await;
                    if let Some(mut slot) = slot {
                        let mut state = self.inner.raw();
                        slot.stored.version = state.next_version();
                        state.slots.insert(*id, slot);
                    }
                }
                return Ok(locked);
            }
            Defect::LockKeepsVersion => {
                let before = self.raw(id);
                let locked = self.inner.lock(id, holder, time).await?;
                if let (Some(slot), Some(before)) = (self.inner.raw().slots.get_mut(id), before) {
                    slot.stored.version = before.version;
                }
                return Ok(locked);
            }
            Defect::LeaseForEver => {
                let answer = self.inner.lock(id, holder, Duration::from_secs(1_000_000)).await?;
                return Ok(match answer {
                    Lock::Acquired { .. } => Lock::acquired(self.inner.now() + time),
                    other => other,
                });
            }
            Defect::LockTakenForAnothers => {
                let locked = self.inner.lock(id, holder, time).await;
                return if unknown(&locked) { Ok(Lock::Held) } else { locked };
            }
            _ => {}
        }
        self.inner.lock(id, holder, time).await
    }

    async fn unlock(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        if self.is(Defect::UnlockHoldsFlag) {
            self.flag().await;
            let unlocked = self.inner.unlock(id, holder).await;
            self.flag.store(false, Ordering::SeqCst);
            return unlocked;
        }
        if self.is(Defect::AnyoneUnlocks) {
            let lease = self.inner.raw().slots.get_mut(id).and_then(|slot| slot.lease.take());
            return Ok(lease.is_some());
        }
        self.inner.unlock(id, holder).await
    }

    async fn unlocked(&self, id: &SessionId, at_most: Duration) {
        if self.is(Defect::WaiterSleeps) {
            std::future::pending::<()>().await;
        }
        self.inner.unlocked(id, at_most).await;
    }
}

impl Broken {
    /// Whether the defect takes one owner for another.
    fn confuses(&self, owner: &str, held: &str) -> bool {
        let cut = |name: &str| name.bytes().take(64).collect::<Vec<_>>();
        match self.defect {
            Defect::OwnersByPrefix => held.starts_with(owner),
            Defect::OwnersIgnoreCase => held.eq_ignore_ascii_case(owner),
            Defect::OwnersByPattern => owner.strip_suffix('%').is_some_and(|begin| held.starts_with(begin)),
            Defect::OwnersCutShort => cut(held) == cut(owner),
            _ => false,
        }
    }

    /// What is stored of this use.
    fn rounded(&self, usage: Usage) -> Usage {
        let since = usage.expires_at.duration_since(UNIX_EPOCH).unwrap();
        let seconds = match self.defect {
            Defect::CutsExpiryToSeconds => since.as_secs(),
            Defect::RoundsExpiryToSeconds => since.as_secs() + u64::from(since.subsec_nanos() > 0),
            _ => return usage,
        };
        Usage { expires_at: UNIX_EPOCH + Duration::from_secs(seconds), ..usage }
    }

    /// Stores an expiry as it was asked for, past the absolute limit too.
    fn uncap(&self, id: &SessionId, usage: Usage) {
        if let Some(slot) = self.inner.raw().slots.get_mut(id) {
            slot.stored.expires_at = usage.expires_at;
        }
    }

    fn use_at(&self, id: &SessionId, used_at: SystemTime) {
        if let Some(slot) = self.inner.raw().slots.get_mut(id) {
            slot.stored.used_at = used_at;
        }
    }

    /// Puts a version in place that is the same for the same contents.
    fn version_by_contents(&self, id: &SessionId, record: &Record) -> Version {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        record.to_bytes().hash(&mut hasher);
        let version = Version::from_u64(hasher.finish());
        if let Some(slot) = self.inner.raw().slots.get_mut(id) {
            slot.stored.version = version;
        }
        version
    }
}
