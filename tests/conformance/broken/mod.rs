//! Stores that are broken on purpose, each in one way: one file for each method or capability.

mod at_once;
mod create;
mod end;
mod epoch;
mod leases;
mod listing;
mod load;
mod owners;
mod remove;
mod rename;
mod shutdown;
mod touch;
mod update;

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
    record::{Entries, Epoch, Record, RecordKind},
    store::{
        Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, StoreError, StoreErrorKind, Stored,
        Touch, Tracked, Update, Usage, Version,
    },
};

use crate::{defects::Defect, reference::Reference};

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
        SessionId::for_epoch(&format!("slot {nibble}"))
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
        self.broken_load(id).await
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        self.broken_refresh(id, held).await
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.broken_metadata(id).await
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.broken_create(id, record, usage).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.broken_update(id, record, expected, usage).await
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.broken_load_at_once(id)
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        self.broken_create_at_once(id, record, usage)
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        self.broken_update_at_once(id, record, expected, usage)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.broken_touch(id, usage).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.broken_remove(id).await
    }

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        self.broken_end(id, expected, now).await
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
        self.broken_rename(from, expected, tombstone, to, record, usage).await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        self.broken_owner_epoch(owner).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        self.broken_ensure_epoch(owner, usage).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        self.broken_renew_epoch(owner, usage).await
    }

    fn tracked(&self, _: &SessionId, _: &Version) -> Option<Tracked> {
        self.is(Defect::WrittenIsTrackedForever).then(|| Tracked::new(|| true))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.broken_flush().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.broken_close().await
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
    fn uncap(&self, id: &SessionId, version: Option<Version>, usage: Usage) {
        if let Some(slot) = self.inner.raw().slots.get_mut(id)
            // Another call may have been faster.
            && version.is_none_or(|version| slot.stored.version == version)
        {
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
