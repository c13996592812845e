//! The encrypting wrapper.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{SealError, seal};
use crate::{
    events::{EventKind, Observer, Observers},
    id::SessionId,
    keyring::KeyRing,
    record::{Entries, Epoch, Owner, Record, RecordKind},
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, OwnerEpoch,
        Owners, Page, Refresh, Rename, SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage,
        Version, required,
    },
};

/// The target of this module's events.
pub(super) const TARGET: &str = "session_layer::store::encrypted";

/// Wraps a store, and seals its records with the keys of a ring.
///
/// Entries and owners' names are encrypted. Ids, times, lifetimes, sizes, and which sessions share an owner stay
/// readable in the store. If somebody with write access to the store puts back an older version of a record, that is
/// not detected.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use session_layer::{EncryptedStore, KeyRing, MemoryStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let lines = "NsPzOdPmtUvk4dAsm9eEfh0bGMyn8Xg5B1kvn1pZ0Zc=";
/// let ring = KeyRing::from_lines(lines)?; // or `from_file`, `from_env`
/// let store = EncryptedStore::new(MemoryStore::new(), ring);
/// # Ok(()) }
/// # main().unwrap() }
/// ```
#[derive(Debug, Clone)]
pub struct EncryptedStore<S> {
    inner: S,
    ring: KeyRing,
    observers: Observers,
}

impl<S> EncryptedStore<S> {
    /// Wraps a store. If it contains plain records, seal them once with
    /// [`seal_existing`](EncryptedStore::seal_existing); until then, loading them is an error.
    #[must_use]
    pub fn new(inner: S, ring: KeyRing) -> Self {
        Self { inner, ring, observers: Observers::NONE }
    }

    /// Adds an observer of records that can't be opened, whatever the operation. Default: no observers.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// The inner store, which contains the sealed records.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The keys that seal and open.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }
}

impl<S: SessionStore> EncryptedStore<S> {
    pub(super) fn seal(
        &self,
        id: &SessionId,
        record: &Record,
        operation: &'static str,
    ) -> Result<Arc<Record>, StoreError> {
        seal::seal(&self.ring, id, record)
            .map_err(|error| StoreError::new(StoreErrorKind::Other).during(operation).on(id).because(error))
    }

    /// Opens a record from the inner store. The expiry is capped by the limits that were sealed.
    pub(super) async fn open(
        &self,
        id: &SessionId,
        stored: Stored,
        operation: &'static str,
    ) -> Result<Stored, StoreError> {
        if stored.record.is_grave() {
            // An inner store that uses the provided `end` writes the grave unsealed. It says that the session has
            // ended, as the record's absence would, and nothing else in it counts.
            let record = Record::clone(&stored.record).with_entries(Entries::default()).with_owner(None);
            return Ok(Stored::new(Arc::new(record), stored.version, stored.usage()));
        }
        let opened = match seal::open(&self.ring, id, &stored.record) {
            Ok(opened) => opened,
            Err(error @ SealError::UnknownKey(_)) if stored.record.kind() == RecordKind::Tombstone => {
                // Its key was retired. The tombstone still says "superseded", like one that leads nowhere. If it were
                // an error, a logout would remove it and then report that the session had ended.
                self.refused(id, error, operation);
                let record = Record::clone(&stored.record).with_entries(Entries::default()).with_owner(None);
                return Ok(Stored::new(Arc::new(record), stored.version, stored.usage()));
            }
            Err(error) => return Err(self.refused(id, error, operation)),
        };
        // Under another key, the inner store has the owner under another name.
        let owner_epoch = if opened.foreign.is_none() { stored.owner_epoch } else { OwnerEpoch::NotAsked };
        let record = match opened.foreign.and_then(|id| self.ring.key(id)) {
            Some(key) if opened.record.is_session() && opened.record.owner().is_some() => {
                self.carry_over(opened.record, |name| seal::owner_hash(key, name)).await?
            }
            _ => opened.record,
        };
        Ok(Stored::new(record, stored.version, stored.usage()).with_owner_epoch(owner_epoch))
    }

    /// Opens the record that a conflict carries. Returns `None` if it can't be opened: the caller then loads it and
    /// gets the error.
    async fn open_newer(&self, id: &SessionId, stored: Option<Stored>, operation: &'static str) -> Option<Stored> {
        self.open(id, stored?, operation).await.ok()
    }

    /// Returns the record with the owner's epoch under the writing key, if its own epoch is the current one of the name
    /// `known_as` in the inner store. A revoked record stays as it is, since its epoch is not the current one anywhere.
    ///
    /// The epoch under the writing key is read first. A renewal goes twice through all keys (see `renew_epoch`). If its
    /// last renewal under the writing key came before this read, the epoch under the other key has been renewed as
    /// well, and the record is found to be revoked. If it comes after this read, the epoch that was read here becomes
    /// stale.
    pub(super) async fn carry_over(
        &self,
        record: Arc<Record>,
        known_as: impl FnOnce(&str) -> String,
    ) -> Result<Arc<Record>, StoreError> {
        let Some(owner) = record.owner() else { return Ok(record) };
        let usage = Usage { used_at: record.created_at(), expires_at: record.absolute_limit() };
        let ours = self.inner.ensure_epoch(&self.hash(owner.name()), usage).await?;
        if self.inner.owner_epoch(&known_as(owner.name())).await? != Some(owner.epoch()) {
            return Ok(record);
        }
        let owner = Owner::new(Arc::clone(owner.name()), ours).expect("the same name was valid before");
        Ok(Arc::new(Record::clone(&record).with_owner(Some(owner))))
    }

    /// Reports a record that is not opened.
    pub(super) fn refused(&self, id: &SessionId, error: SealError, operation: &'static str) -> StoreError {
        tracing::error!(target: TARGET, %id, operation, %error, "record not opened");
        let error = StoreError::new(StoreErrorKind::Corrupt).during(operation).on(id).because(error);
        if !self.observers.is_empty() {
            let observers = self.observers.clone().of(self.inner.name());
            observers.notify(EventKind::NotOpened { id: *id, operation, error: &error });
        }
        error
    }

    /// The owner's hash under the writing key.
    fn hash(&self, owner: &str) -> String {
        seal::owner_hash(self.ring.writing(), owner)
    }

    /// The owner's hash under every key of the ring, the writing one first.
    fn hashes(&self, owner: &str) -> Vec<String> {
        self.ring.keys().map(|key| seal::owner_hash(key, owner)).collect()
    }
}

impl<S: SessionStore> SessionStore for EncryptedStore<S> {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        match self.inner.load(id).await? {
            None => Ok(None),
            Some(stored) => self.open(id, stored, "load").await.map(Some),
        }
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.inner.create(id, &self.seal(id, record, "create")?, usage).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        Ok(match self.inner.update(id, &self.seal(id, record, "update")?, expected, usage).await? {
            Update::Conflict(stored) => Update::Conflict(self.open_newer(id, stored, "update").await),
            outcome => outcome,
        })
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.inner.touch(id, usage).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.inner.remove(id).await
    }

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        Ok(match self.inner.end(id, expected, now).await? {
            End::Conflict(stored) => End::Conflict(self.open_newer(id, stored, "end").await),
            outcome => outcome,
        })
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
        // The tombstone is sealed like any record and bound to the old id, so a forward that was planted in the store
        // does not open.
        let tombstone = self.seal(from, tombstone, "rename")?;
        let record = self.seal(to, record, "rename")?;
        Ok(match self.inner.rename(from, expected, &tombstone, to, &record, usage).await? {
            Rename::Conflict(stored) => Rename::Conflict(self.open_newer(from, stored, "rename").await),
            outcome => outcome,
        })
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        Ok(match self.inner.refresh(id, held).await? {
            Refresh::Same { usage, owner_epoch } => {
                let usage = Stored::new(Arc::clone(&held.record), held.version, usage).usage();
                // Under another key, the inner store has the owner under another name.
                let is_ours = self.ring.keys().nth(1).is_none();
                let owner_epoch = if is_ours { owner_epoch } else { OwnerEpoch::NotAsked };
                Refresh::Same { usage, owner_epoch }
            }
            Refresh::Changed(stored) => Refresh::Changed(self.open(id, stored, "refresh").await?),
            Refresh::Gone => Refresh::Gone,
        })
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        self.inner.owner_epoch(&self.hash(owner)).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        self.inner.ensure_epoch(&self.hash(owner), usage).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let hashes = self.hashes(owner);
        // Renews twice under every key. So the last renewal under each key comes after the first one under every other,
        // whichever of them another server writes with. `carry_over` relies on that.
        for hash in hashes.iter().chain(if hashes.len() > 1 { &hashes[..] } else { &[] }) {
            self.inner.renew_epoch(hash, usage).await?;
        }
        Ok(())
    }

    fn in_memory(&self) -> bool {
        self.inner.in_memory()
    }

    fn overwrites(&self) -> bool {
        self.inner.overwrites()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    required::own_capabilities!(inner);

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.inner.metadata(id).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[async_trait]
impl<S: SessionStore> Listing for EncryptedStore<S> {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        required::listing(&self.inner, "ids")?.ids(from, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        required::listing(&self.inner, "count")?.count().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        required::listing(&self.inner, "sweep")?.sweep().await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        required::listing(&self.inner, "delete_idle")?.delete_idle(idle).await
    }
}

#[async_trait]
impl<S: SessionStore> Clearing for EncryptedStore<S> {
    async fn clear(&self) -> Result<u64, StoreError> {
        required::clearing(&self.inner, "clear")?.clear().await
    }
}

#[async_trait]
impl<S: SessionStore> Owners for EncryptedStore<S> {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let hashes = self.hashes(owner);
        let mut sessions: Vec<ListedSession> = Vec::new();
        // Lists all but the last hash a second time. Suppose that a session is resealed meanwhile, from a key that was
        // not listed yet to one that was: the second pass finds it.
        for hash in hashes.iter().chain(&hashes[..hashes.len() - 1]) {
            for mut owned in required::owners(&self.inner, "list_owner")?.list_owner(hash).await? {
                if let Some(stored) = owned.stored.take() {
                    owned.stored = Some(self.open(&owned.id, stored, "list_owner").await?);
                }
                match sessions.iter_mut().find(|seen| seen.id == owned.id) {
                    Some(before) => *before = owned,
                    None => sessions.push(owned),
                }
            }
        }
        Ok(sessions)
    }
}

#[async_trait]
impl<S: SessionStore> Leases for EncryptedStore<S> {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        Ok(match required::leases(&self.inner, "acquire")?.acquire(id, holder, time).await? {
            Acquire::Acquired { until, stored } => {
                Acquire::Acquired { until, stored: self.open_newer(id, stored, "lock").await }
            }
            outcome => outcome,
        })
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        required::leases(&self.inner, "release")?.release(id, holder).await
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        if let Some(leases) = self.inner.leases() {
            leases.released(id, at_most).await;
        }
    }
}
