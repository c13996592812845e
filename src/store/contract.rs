//! The contract between the layer and a store.

use std::{sync::Arc, time::SystemTime};

use super::{
    Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, StoreError, Stored, Touch, Update,
    Usage, Version, provided,
};
use crate::{
    id::SessionId,
    record::{Epoch, Record},
};

/// Where sessions are kept.
///
/// A store is a plain `impl` with `async fn`s: five methods are required, all others are provided from them or answer
/// "unsupported". `examples/custom_store.rs` is a whole one in about 60 lines. Whether it is right is for the
/// conformance kit to say (feature `conformance`): **every numbered sentence below has a check in it.**
///
/// # What holds for every method
///
/// - **G1** An error never means "absent": where the store can't tell, it answers with an error.
/// - **G2** Each of `load`, `create`, `update`, `touch` and `remove` is atomic for one id: of two that run at once, one
///   comes first.
/// - **G3** A future that is dropped leaves the old state or the new one, whole, and holds nothing back.
/// - **G4** A record is expired from `expires_at` on, and from then on it is absent for every method.
/// - **G5** After an error other than `OutcomeUnknown` nothing is changed.
/// - **G6** A write takes effect at most once, also if the backend's answer to it is lost. Then the store answers what
///   came of the write, or `OutcomeUnknown`; it never sends the write again and takes its own effect for another's.
///
/// Times come from the caller ([`Usage`]); a store asks a clock only to tell what has expired. All kinds of records are
/// kept alike: sessions, tombstones, epochs and sealed ones.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "implement `load`, `create`, `update`, `touch` and `remove` as `async fn`s; see examples/custom_store.rs"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Loads a record.
    ///
    /// - **L1** What was created or last updated under this id comes back: the same record, byte for byte.
    /// - **L2** An id that was never created, was removed or has expired is `None`.
    /// - **L3** The version is the one that `create`, `update` or `rename` returned for this state.
    /// - **L4** `expires_at` is what the last create or update set, or a later one that a touch has set since, to the
    ///   millisecond, capped by the record's absolute limit. The cap is stored: from the limit on the session is absent
    ///   for every method. (A store that counts whole seconds may be up to two late, never early; the layer checks the
    ///   absolute limit as well.)
    /// - **L5** `used_at` is what the last create, update or rename set, or a later one that a touch has set since. (A store
    ///   that can't move it by a touch may derive it from how far the expiry has moved.)
    ///
    /// - **L6** If the record has an owner and the answer has the owner's epoch ([`Stored::with_owner_epoch`]), it is the one
    ///   that [`owner_epoch`](Self::owner_epoch) would answer now: read with the record or after it, and not kept.
    ///
    /// A backend that can read the epoch along with the record saves a call for each request of a logged-in visitor. A wrapper
    /// that maps ids, or chooses one of several stores by the id, answers [`OwnerEpoch::NotAsked`](super::OwnerEpoch): the
    /// store inside has looked in its own place.
    ///
    /// # Errors
    ///
    /// If the store can't tell, or what it holds is no record (`Corrupt`; the bytes stay as they are).
    fn load(&self, id: &SessionId) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Stores a new record.
    ///
    /// - **C1** Where a live record is, the answer is `Exists` and that record stays as it is: `create` never replaces.
    /// - **C2** Of two creates under one id exactly one is answered `Created`.
    /// - **C3** Where a record was removed or has expired, the new one is stored as if nothing had been there.
    ///
    /// # Errors
    ///
    /// If the store can't, or the record is too large for it.
    fn create(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> impl Future<Output = Result<Create, StoreError>> + Send;

    /// Replaces a record that is in the expected version.
    ///
    /// - **U1** Where no live record is, the answer is `Gone`: `update` never creates.
    /// - **U2** Where the version is another one, the answer is `Conflict` and the record stays as it is.
    /// - **U3** Of two updates that expect one version exactly one is answered `Updated`.
    /// - **U4** An update gives a version that no state of this id had before.
    /// - **U5** Of an update and a remove that run at once, the record is absent afterwards.
    ///
    /// # Errors
    ///
    /// If the store can't, or the record is too large for it: then the stored one stays.
    fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> impl Future<Output = Result<Update, StoreError>> + Send;

    /// Moves last use and sliding expiry, and nothing else.
    ///
    /// - **T1** The record and its version stay as they are.
    /// - **T2** Where no live record is, the answer is `Gone`: `touch` never creates, also beside a remove.
    /// - **T3** A touch never carries a session past its record's absolute limit.
    /// - **T4** A touch makes neither of them earlier: where the stored one is later, it stays. (The request may have loaded
    ///   the session before a renewal, and its touch must not shorten the life of the renewal's tombstone.)
    ///
    /// # Errors
    ///
    /// If the store can't.
    fn touch(&self, id: &SessionId, usage: Usage) -> impl Future<Output = Result<Touch, StoreError>> + Send;

    /// Removes a record, whatever its version and whoever has leased it. `true` if a live one was there.
    ///
    /// - **R1** Afterwards the id is absent, and no update or touch that was under way brings it back.
    /// - **R2** The answer is `true` if a live record was there and `false` if not; a second remove is `false`.
    /// - **R3** Of two removes that run at once exactly one is answered `true`.
    /// - **R4** A remove does not wait for a lease, and works where the stored bytes are damaged.
    ///
    /// # Errors
    ///
    /// If the store can't: then the record may live on.
    fn remove(&self, id: &SessionId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends a session that is in the expected version, in one step.
    ///
    /// A session is never ended by a load and a [`remove`](Self::remove): if another request renews the session in
    /// between, the remove deletes the renewal's tombstone, and the session lives on under its new id. If the answer is
    /// `Conflict`, the layer loads again, and follows the tombstone of a renewal to the session that it has to end.
    ///
    /// - **X1** After `Ended` the id is absent, or has a tombstone that no token matches
    ///   ([`Record::is_grave`]); no update or touch that was under way brings the session back.
    /// - **X2** Where the version is another one, the answer is `Conflict` and the record stays as it is; where no live
    ///   record is, it is `Gone`.
    /// - **X3** Of an end and an update, a rename or another end that expect one version exactly one succeeds.
    /// - **X4** An end does not wait for a lease.
    ///
    /// If an end is not answered and nothing is left under the id, the answer is `OutcomeUnknown`: the caller knows whether the
    /// session can have moved on.
    ///
    /// The provided implementation updates the record to a [`Record::grave`] and then removes that. It needs two calls, and
    /// room for the write: override it if the backend has a conditional delete. `now` is the time of the grave.
    ///
    /// # Errors
    ///
    /// If the store can't: then the session may live on.
    fn end(
        &self,
        id: &SessionId,
        expected: &Version,
        now: SystemTime,
    ) -> impl Future<Output = Result<End, StoreError>> + Send {
        provided::end(self, id, expected, now)
    }

    /// Moves a session to a new id: stores `record` under `to` and `tombstone` under `from`.
    ///
    /// - **N1** Afterwards `to` has the record and `from` the tombstone, byte for byte, until its own expiry.
    /// - **N2** Where `from` is in another version, the answer is `Conflict`; where it is absent, `Gone`; where `to` is
    ///   there, `Exists`; then `from` is as it was and `to` is absent, or as it was.
    /// - **N3** Of a rename and a remove of `from` that run at once, `from` is absent or a tombstone afterwards.
    /// - **N4** Of a rename and an update, or of two renames, that expect one version exactly one succeeds: no
    ///   acknowledged update is lost.
    ///
    /// No two tombstones are equal: each holds random bytes, so a stored tombstone tells which rename came first.
    ///
    /// The provided implementation creates `to` and then updates `from` to the tombstone. If it is interrupted between
    /// the two, `to` may live until its expiry, but nobody holds its token.
    ///
    /// # Errors
    ///
    /// If the store can't. After `OutcomeUnknown` the old id may be superseded.
    fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> impl Future<Output = Result<Rename, StoreError>> + Send {
        provided::rename(self, from, expected, tombstone, to, record, usage)
    }

    /// Tells whether a record that the caller holds is still the stored one, cheaper than a load where the store can.
    ///
    /// - **F1** `Same` if the version is the held one, with the present use and expiry; `Changed` with the stored record
    ///   if it is another; `Gone` if there is no live one.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn refresh(&self, id: &SessionId, held: &Stored) -> impl Future<Output = Result<Refresh, StoreError>> + Send {
        provided::refresh(self, id, held)
    }

    /// The present epoch of an owner; `None` if the owner has none, so that every session of the owner is revoked.
    ///
    /// - **E1** An owner that never had an epoch, and one whose epoch was lost, has none.
    ///
    /// The provided form keeps epochs as ordinary records under [`SessionId::of_owner`].
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn owner_epoch(&self, owner: &str) -> impl Future<Output = Result<Option<Epoch>, StoreError>> + Send {
        provided::owner_epoch(self, owner)
    }

    /// The present epoch of an owner, made if there is none, and kept at least until `usage.expires_at`.
    ///
    /// - **E2** Two that run at once, and all until the next renewal, get the same epoch.
    /// - **E3** The epoch lives at least until the latest `expires_at` that was asked for.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), [`update`](Self::update) and [`load`](Self::load).
    fn ensure_epoch(&self, owner: &str, usage: Usage) -> impl Future<Output = Result<Epoch, StoreError>> + Send {
        provided::ensure_epoch(self, owner, usage)
    }

    /// Gives an owner a new epoch: every session that was logged in before is revoked from now on.
    ///
    /// - **E4** Afterwards the epoch is another one than before; where there was none, there may be none.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) and [`load`](Self::load): then the sessions may live on.
    fn renew_epoch(&self, owner: &str, usage: Usage) -> impl Future<Output = Result<(), StoreError>> + Send {
        provided::renew_epoch(self, owner, usage)
    }

    /// Whether this store keeps its records in this process's memory, so that a cache in front of it only costs.
    fn in_memory(&self) -> bool {
        false
    }

    /// Whether an [`update`](Self::update) can replace a version that it does not name (so that **U2** does not hold): then
    /// no lease protects its holder from one who took too long, and what relies on leases is refused.
    fn overwrites(&self) -> bool {
        false
    }

    /// A short name for events and metrics: `memory`, `file`, `memcached`.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// What is known of a session beside its data; `None` if it is absent. An expired one may still be told of.
    ///
    /// - **M1** It does not count as a use.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn metadata(&self, id: &SessionId) -> impl Future<Output = Result<Option<Metadata>, StoreError>> + Send {
        // A record that was loaded is not expired, so it is active at the time of its last use as well as now.
        async move { Ok(self.load(id).await?.map(|stored| Metadata::of(&stored, stored.used_at))) }
    }

    /// Walks through all sessions; `None` if the backend can't.
    fn listing(&self) -> Option<&dyn Listing> {
        None
    }

    /// Removes everything at once; `None` if the backend can't.
    fn clearing(&self) -> Option<&dyn Clearing> {
        None
    }

    /// Lists the sessions of an owner; `None` if the backend can't.
    fn owners(&self) -> Option<&dyn Owners> {
        None
    }

    /// Gives a session to one holder at a time; `None` if the backend can't.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }

    /// Makes what was written durable, as far as the store can: a snapshot, a sync, or the last replies awaited.
    ///
    /// - **D1** It changes nothing that can be loaded.
    ///
    /// # Errors
    ///
    /// If it could not.
    fn flush(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Flushes, stops the store's tasks and lets go of its resources.
    ///
    /// - **D2** It can be called twice, also at once. Later calls of other methods are answered rightly or with an error.
    ///
    /// # Errors
    ///
    /// If the last flush failed.
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.flush()
    }
}
