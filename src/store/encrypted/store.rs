//! The encrypting wrapper.

use std::sync::Arc;

use super::{SealError, seal};
use crate::{
    events::{EventKind, Observer, Observers},
    id::SessionId,
    keyring::{KeyRing, RingKey},
    record::{Entries, Owner, Record, RecordKind},
    store::{OwnerEpoch, SessionStore, StoreError, StoreErrorKind, Stored, Usage},
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
///
/// # What is sealed
///
/// The entries and the owner's name are encrypted with XChaCha20-Poly1305 under a random nonce of 192 bits. Stored in
/// plain text, and bound to them as associated data, are: the format, the id of the key, the id of the session, when it
/// was created, its lifetime, the check, and the owner's keyed hash and epoch. So a record does not open if it was
/// moved to another id or given a longer life or another owner. A record that is not sealed is refused: there is no
/// fallback.
///
/// A sealed record is an ordinary [`Record`](crate::record::Record) of kind
/// [`Sealed`](crate::record::RecordKind::Sealed) with one entry, about 180 bytes larger than the plain one. The inner
/// store needs no knowledge of sealing; its owner index and its epochs use the hash.
///
/// The tombstone of a renewal leads to the session's new id, so it is sealed as well, under its own id. A plain
/// tombstone with a forward is an error. So write access to the store is not enough to redirect a token to another
/// session.
///
/// # What is not sealed
///
/// Someone who can **read** the store sees: ids; times of creation, last use and expiry; lifetimes; the check, which is
/// one half of the token's hash and opens nothing; sizes; which key sealed a record; which sessions have the same
/// owner, but not who that is; and which ids have tombstones, but not where they lead.
///
/// Someone who can **write** to the store can delete and end sessions (with a tombstone, or another epoch), and can
/// also:
///
/// - put an **older version of a record back under its own id**, even of a session that was ended or renewed since, and
///   an owner's earlier epoch: that is not detected. It helps only somebody who holds the token of that session.
/// - move a session's sliding expiry, up to its absolute limit, which is sealed.
///
/// They can't read or change an entry, create a session, give one to another token, redirect a token to another
/// session, or extend a session's absolute limit.
///
/// # With a cache
///
/// `CachedStore::new(EncryptedStore::new(store, ring))` caches opened records in this process's memory. That is faster,
/// and exposes no more than the handlers see. `EncryptedStore::new(CachedStore::new(store), ring)` caches sealed
/// records, and opens one at every load.
///
/// # When a record can't be opened
///
/// Loading it fails with an error of kind [`Corrupt`](crate::store::StoreErrorKind::Corrupt) with a [`SealError`] as
/// its source. The failure is reported, and the stored bytes stay as they are: if the key is put back, the session is
/// available again. `remove` works on such a record. Visitors see a 500 until then; a setting of the layer lets them
/// start over with a new session instead.
///
/// A renewal's tombstone whose key was retired still supersedes its token, but leads nowhere. So retire a key an hour,
/// plus the layer's `renewal_grace`, after the last record was sealed with it.
///
/// # Owners while keys change
///
/// The inner store has an owner under one hash for each key, with an epoch for each. A record that another key of the
/// ring sealed is judged by the epoch under *that* key's hash. If that is the current one, the record is returned with
/// the current epoch under the writing key's hash, which is created if there is none. So servers that write with
/// different keys agree on who is logged in. Renewing an epoch renews it under every key, in an order that lets no such
/// hand-over carry a revoked session across. Loading an owner's session that is sealed with a key that does not write
/// costs two more round trips: [`reseal_all`](EncryptedStore::reseal_all) ends that.
///
/// # Cost
///
/// Opening a record costs the cipher's work and two allocations, and one more for the name of an owner. For records of
/// about a kilobyte, a third of the time is spent setting up the AVX2 code of the crate `poly1305`, which pays only for
/// long ones. Built with `RUSTFLAGS='--cfg poly1305_backend="soft"'`, a load of 0.8 KB took 2.05 µs instead of 3.05 µs
/// (one machine, one run, best of 200 rounds).
///
/// # Events
///
/// Target `session_layer::store::encrypted`; the inner store reports its own.
///
/// | level | event | fields |
/// |---|---|---|
/// | error | `record not opened` | `id`, `operation`, `error` |
/// | debug | `record resealed` | `id` |
/// | info | `records resealed` | `sealed`, `current`, `refused` |
#[derive(Debug, Clone)]
pub struct EncryptedStore<S> {
    pub(super) inner: S,
    pub(super) ring: KeyRing,
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
        let (opened, foreign) = self.unseal(id, stored, operation)?;
        match foreign {
            Some(key) => {
                let record = self.rehash_owner(opened.record, |name| seal::owner_hash(key, name)).await?;
                Ok(Stored { record, ..opened })
            }
            None => Ok(opened),
        }
    }

    /// Like [`open`](Self::open), but returns `None` if the inner store has to be asked for the owner's epochs.
    pub(super) fn open_at_once(
        &self,
        id: &SessionId,
        stored: Stored,
        operation: &'static str,
    ) -> Option<Result<Stored, StoreError>> {
        match self.unseal(id, stored, operation) {
            Ok((_, Some(_))) => None,
            Ok((opened, None)) => Some(Ok(opened)),
            Err(error) => Some(Err(error)),
        }
    }

    /// Opens a record. Also returns the key under which the inner store knows its owner, if that is not the writing one.
    fn unseal(
        &self,
        id: &SessionId,
        stored: Stored,
        operation: &'static str,
    ) -> Result<(Stored, Option<&RingKey>), StoreError> {
        let without_entries = |stored: Stored| {
            let record = Record::clone(&stored.record).with_entries(Entries::default()).with_owner(None);
            Stored::new(Arc::new(record), stored.version, stored.usage()).with_tracked(stored.tracked)
        };
        if stored.record.is_grave() {
            // An inner store that uses the provided `end` writes the grave unsealed. It says that the session has
            // ended, as the record's absence would, and nothing else in it counts.
            return Ok((without_entries(stored), None));
        }
        let opened = match seal::open(&self.ring, id, &stored.record) {
            Ok(opened) => opened,
            Err(error @ SealError::UnknownKey(_)) if stored.record.kind() == RecordKind::Tombstone => {
                // Its key was retired. The tombstone still says "superseded", like one that leads nowhere. If it were
                // an error, a logout would remove it and then report that the session had ended.
                self.refused(id, error, operation);
                return Ok((without_entries(stored), None));
            }
            Err(error) => return Err(self.refused(id, error, operation)),
        };
        // Under another key, the inner store has the owner under another name.
        let owner_epoch = if opened.foreign.is_none() { stored.owner_epoch } else { OwnerEpoch::NotAsked };
        let is_owned = opened.record.is_session() && opened.record.owner().is_some();
        let foreign = opened.foreign.filter(|_| is_owned).and_then(|id| self.ring.key(id));
        let opened = Stored::new(opened.record, stored.version, stored.usage())
            .with_owner_epoch(owner_epoch)
            .with_tracked(stored.tracked);
        Ok((opened, foreign))
    }

    /// Opens the record that a conflict carries. Returns `None` if it can't be opened: the caller then loads it and
    /// gets the error.
    pub(super) async fn open_newer(
        &self,
        id: &SessionId,
        stored: Option<Stored>,
        operation: &'static str,
    ) -> Option<Stored> {
        self.open(id, stored?, operation).await.ok()
    }

    /// Returns the record with the owner's epoch under the writing key, if its own epoch is the current one of the name
    /// `known_as` in the inner store. A revoked record stays as it is, since its epoch is not the current one anywhere.
    ///
    /// The epoch under the writing key is read first. A renewal goes twice through all keys (see `renew_epoch`). If its
    /// last renewal under the writing key came before this read, the epoch under the other key has been renewed as
    /// well, and the record is found to be revoked. If it comes after this read, the epoch that was read here becomes
    /// stale.
    pub(super) async fn rehash_owner(
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
    pub(super) fn hash(&self, owner: &str) -> String {
        seal::owner_hash(self.ring.writing(), owner)
    }

    /// The owner's hash under every key of the ring, the writing one first.
    pub(super) fn hashes(&self, owner: &str) -> Vec<String> {
        self.ring.keys().map(|key| seal::owner_hash(key, owner)).collect()
    }
}
