//! The contract between the layer and a store.

use std::{sync::Arc, time::SystemTime};

use super::{
    Clearing, Create, End, Leases, Listing, Metadata, Owners, Refresh, Rename, StoreError, Stored, Touch, Tracked,
    Update, Usage, Version, provided,
};
use crate::{
    id::SessionId,
    record::{Epoch, Record},
};

/// A store of sessions: the contract between the layer and a backend.
///
/// A store is a plain `impl` with `async fn`s. Five methods are required. The others are provided in terms of these,
/// and the accessors of the optional capabilities return `None` by default. `examples/custom_store.rs` is a complete
/// store in about 60 lines. The conformance kit (feature `conformance`) tests whether a store is correct: **every
/// numbered sentence below has a check in it.**
///
/// The letter of a sentence says which methods it is about:
///
/// | letter | methods |
/// |---|---|
/// | G | every method |
/// | L, C, U, T, R | `load`, `create`, `update`, `touch`, `remove` |
/// | X | `end` |
/// | N | `rename` |
/// | A | `try_load`, `try_create`, `try_update` |
/// | F | `refresh`, `tracked` |
/// | E | `owner_epoch`, `ensure_epoch`, `renew_epoch` |
/// | M | `metadata` |
/// | D | `flush`, `close` |
/// | I | `ids` and `count` of [`Listing`]; I4 is about `clear` of [`Clearing`] |
/// | W | `sweep` and `delete_idle` of [`Listing`] |
/// | O | `list_owner` of [`Owners`] |
/// | K | `acquire`, `release` and `released` of [`Leases`] |
///
/// # What holds for every method
///
/// - **G1** An error never means "absent": if the store can't tell, it returns an error.
/// - **G2** Each of `load`, `create`, `update`, `touch` and `remove` is atomic for one id: concurrent calls take effect
///   one after the other.
/// - **G3** A dropped future leaves either the complete old state or the complete new one, and blocks no later call.
/// - **G4** A record expires at `expires_at`, and from then on it is absent for every method.
/// - **G5** If a call fails with an error other than `OutcomeUnknown` or `NotReplicated`, nothing has changed.
/// - **G6** A write takes effect at most once, even if the backend's reply to it is lost. In that case the store
///   returns the write's actual outcome or `OutcomeUnknown`. It never resends the write and then takes its own effect
///   for another caller's.
///
/// Times come from the caller ([`Usage`]); a store reads a clock only to decide what has expired. All kinds of records
/// are stored alike: sessions, tombstones, epochs and sealed records.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "implement `load`, `create`, `update`, `touch` and `remove` as `async fn`s; see examples/custom_store.rs"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Loads a record.
    ///
    /// - **L1** Returns the record that was created or last updated under this id, byte for byte.
    /// - **L2** Returns `None` for an id that was never created, was removed or has expired.
    /// - **L3** The version is the one that `create`, `update` or `rename` returned for this state.
    /// - **L4** `expires_at` is the value that the last create or update set, or a later one that a touch has set
    ///   since, exact to the millisecond and capped by the record's absolute limit. The cap is stored: from the limit
    ///   on, the session is absent for every method. (A store that counts whole seconds may be up to two seconds late,
    ///   never early; the layer checks the absolute limit as well.)
    /// - **L5** `used_at` is the value that the last create, update or rename set, or a later one that a touch has set
    ///   since. (A store that can't move it on a touch may derive it from how far the expiry has moved.)
    /// - **L6** If the record has an owner and the result carries the owner's epoch ([`Stored::with_owner_epoch`]), it
    ///   is the one that [`owner_epoch`](Self::owner_epoch) would return now: read with the record or after it, and
    ///   never cached.
    /// - **L7** If the result is tracked ([`Stored::with_tracked`]), it stops being current when the record changes, whoever
    ///   changes it: for a change by the same store before it is answered, for others soon after, within a time that the
    ///   store documents.
    ///
    /// A backend that reads the epoch along with the record saves a call for each request of a logged-in visitor. A
    /// wrapper that maps ids, or selects one of several stores by the id, returns
    /// [`OwnerEpoch::NotAsked`](super::OwnerEpoch), since the inner store has looked only in its own place.
    ///
    /// # Errors
    ///
    /// If the store can't tell, or the stored bytes are not a record (`Corrupt`; the bytes stay as they are).
    fn load(&self, id: &SessionId) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Stores a new record.
    ///
    /// - **C1** If there is a live record, returns `Exists` and leaves that record as it is: `create` never replaces.
    /// - **C2** Of two creates under one id, exactly one returns `Created`.
    /// - **C3** If an earlier record was removed or has expired, the new one is stored as if there had been none.
    ///
    /// # Errors
    ///
    /// If the store can't write it, or the record is too large for it (`TooLarge`).
    fn create(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> impl Future<Output = Result<Create, StoreError>> + Send;

    /// Replaces a record if it still has the expected version.
    ///
    /// - **U1** If there is no live record, returns `Gone`: `update` never creates.
    /// - **U2** If the stored version is another one, returns `Conflict` and leaves the record as it is.
    /// - **U3** Of two updates that expect the same version, exactly one returns `Updated`.
    /// - **U4** An update yields a version that no state of this id had before.
    /// - **U5** If an update and a remove run concurrently, the record is absent afterwards.
    ///
    /// # Errors
    ///
    /// If the store can't write it, or the record is too large for it (`TooLarge`; the stored record stays as it is).
    fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> impl Future<Output = Result<Update, StoreError>> + Send;

    /// Moves the last use and the sliding expiry, and nothing else.
    ///
    /// - **T1** The record and its version stay as they are.
    /// - **T2** If there is no live record, returns `Gone`: `touch` never creates, not even during a remove.
    /// - **T3** A touch never extends a session past its record's absolute limit.
    /// - **T4** A touch makes neither of them earlier: a stored value that is later stays. (The request may have loaded
    ///   the session before a renewal, and its touch must not shorten the life of the renewal's tombstone.)
    ///
    /// # Errors
    ///
    /// If the store can't write it.
    fn touch(&self, id: &SessionId, usage: Usage) -> impl Future<Output = Result<Touch, StoreError>> + Send;

    /// Removes a record, whatever its version and whoever has leased it. Returns `true` if there was a live one.
    ///
    /// - **R1** Afterwards the id is absent, and no update or touch that was under way brings it back.
    /// - **R2** Returns `true` if there was a live record and `false` if not; a second remove returns `false`.
    /// - **R3** Of two concurrent removes, exactly one returns `true`.
    /// - **R4** A remove does not wait for a lease, and works even if the stored bytes are damaged.
    ///
    /// # Errors
    ///
    /// If the store can't remove it. The record may then live on.
    fn remove(&self, id: &SessionId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Loads a record at once, if the store can answer without waiting; otherwise returns `None`, and the caller calls
    /// [`load`](Self::load).
    ///
    /// This is for a store in this process's memory: the layer spares a boxed future for each call that is answered at
    /// once. The provided implementation returns `None`.
    ///
    /// - **A1** If `try_load`, `try_create` or `try_update` answers, it has done what `load`, `create` or `update` does:
    ///   every sentence about that method holds for it.
    /// - **A2** If it returns `None`, it has done nothing.
    ///
    /// It must not block the thread, except for a moment on a lock that no call holds for long. What it can't know at once
    /// it doesn't answer, so its error is never `OutcomeUnknown`. A wrapper that forwards it does here what it does in the
    /// awaited method, or does not forward it: otherwise, calls would bypass the wrapper.
    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        let _ = id;
        None
    }

    /// Like [`try_load`](Self::try_load), but for [`create`](Self::create).
    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        let _ = (id, record, usage);
        None
    }

    /// Like [`try_load`](Self::try_load), but for [`update`](Self::update).
    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        let _ = (id, record, expected, usage);
        None
    }

    /// Ends a session in one step, if it still has the expected version.
    ///
    /// A load and a [`remove`](Self::remove) are not enough to end a session: if another request renews it in between,
    /// the remove deletes the renewal's tombstone, and the session lives on under its new id. On `Conflict`, the layer
    /// loads again, and follows the tombstone of a renewal to the session that it has to end.
    ///
    /// - **X1** After `Ended`, the id is absent or has a tombstone that no token matches ([`Record::is_grave`]); no
    ///   update or touch that was under way brings the session back.
    /// - **X2** If the stored version is another one, returns `Conflict` and leaves the record as it is; if there is no
    ///   live record, returns `Gone`.
    /// - **X3** Of an end and an update, a rename or another end that expect the same version, exactly one succeeds.
    /// - **X4** An end does not wait for a lease.
    ///
    /// If the backend's reply is lost and nothing is left under the id, returns the error `OutcomeUnknown`: the caller
    /// knows whether the session can have moved to another id.
    ///
    /// The provided implementation updates the record to a [`Record::grave`] of the time `now` and then removes that.
    /// It takes two calls and needs space for the write: override it if the backend has a conditional delete.
    ///
    /// # Errors
    ///
    /// If the store can't end it. The session may then live on.
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
    /// - **N1** Afterwards `to` has the record and `from` has the tombstone, byte for byte, until the tombstone
    ///   expires.
    /// - **N2** If `from` has another version, returns `Conflict`; if it is absent, `Gone`; if `to` exists, `Exists`.
    ///   In each of these cases `from` stays as it was, and `to` stays absent or as it was.
    /// - **N3** If a rename and a remove of `from` run concurrently, `from` is absent or a tombstone afterwards.
    /// - **N4** Of a rename and an update, or of two renames, that expect the same version, exactly one succeeds: no
    ///   acknowledged update is lost.
    ///
    /// No two tombstones are equal: each contains random bytes, so the stored tombstone shows which rename came first.
    ///
    /// The provided implementation creates `to` and then updates `from` to the tombstone. If it is interrupted between
    /// the two, `to` may live until its expiry, but nobody holds its token.
    ///
    /// # Errors
    ///
    /// If the store can't write them. If it may have happened, the old id may be superseded.
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

    /// Checks whether a record that the caller holds is still the stored one. Cheaper than a load in stores that
    /// support it.
    ///
    /// - **F1** Returns `Same`, with the current use and expiry, if the stored version is the held one; `Changed`, with
    ///   the stored record, if it is another one; `Gone` if there is no live record.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn refresh(&self, id: &SessionId, held: &Stored) -> impl Future<Output = Result<Refresh, StoreError>> + Send {
        provided::refresh(self, id, held)
    }

    /// Returns what tells whether this version, which this store has just written, is still the stored one. A cache asks
    /// for it when a create, an update or a rename has returned the version. `None` by default, and if the store doesn't
    /// know; then a cache validates the record at the next load.
    ///
    /// - **F2** As for a loaded record (**L7**), it stops being current when the record changes.
    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        let _ = (id, version);
        None
    }

    /// Returns an owner's current epoch, or `None` if the owner has none. Every session of the owner is revoked then.
    ///
    /// - **E1** An owner that never had an epoch, or whose epoch was lost, has none.
    ///
    /// The provided implementation keeps epochs as ordinary records under [`SessionId::for_epoch`].
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn owner_epoch(&self, owner: &str) -> impl Future<Output = Result<Option<Epoch>, StoreError>> + Send {
        provided::owner_epoch(self, owner)
    }

    /// Returns an owner's current epoch, creating one if there is none. The epoch is kept at least until
    /// `usage.expires_at`.
    ///
    /// - **E2** Concurrent calls, and all calls until the next renewal, return the same epoch.
    /// - **E3** The epoch lives at least until the latest `expires_at` that was requested.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), [`update`](Self::update) and [`load`](Self::load).
    fn ensure_epoch(&self, owner: &str, usage: Usage) -> impl Future<Output = Result<Epoch, StoreError>> + Send {
        provided::ensure_epoch(self, owner, usage)
    }

    /// Gives an owner a new epoch, which revokes every session that was logged in before.
    ///
    /// - **E4** Afterwards the epoch differs from the one before; if there was none, there may still be none.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) and [`load`](Self::load). The sessions may then live on.
    fn renew_epoch(&self, owner: &str, usage: Usage) -> impl Future<Output = Result<(), StoreError>> + Send {
        provided::renew_epoch(self, owner, usage)
    }

    /// Whether [`try_create`](Self::try_create) and [`try_update`](Self::try_update) answer most calls. `false` by default, and
    /// then the layer doesn't call them: to build a record for a call that is not answered costs more than it saves.
    fn answers_at_once(&self) -> bool {
        false
    }

    /// Whether this store keeps its records in this process's memory, so that a cache in front of it would only add
    /// cost. `false` by default.
    fn in_memory(&self) -> bool {
        false
    }

    /// Whether an [`update`](Self::update) can replace a version that it does not name, so that **U2** does not hold.
    /// `false` by default. In such a store, a lease does not protect its holder from a previous holder whose lease has
    /// run out, so operations that rely on leases are refused.
    fn overwrites(&self) -> bool {
        false
    }

    /// A short name for events and metrics, such as `memory`, `file` or `memcached`. `custom` by default.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Returns what is known about a session besides its data, or `None` if it is absent. An expired session may still
    /// be reported.
    ///
    /// - **M1** Reading the metadata does not count as a use.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn metadata(&self, id: &SessionId) -> impl Future<Output = Result<Option<Metadata>, StoreError>> + Send {
        // A loaded record is not expired, so its status at the time of its last use is its status now.
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

    /// Makes earlier writes durable. Not a logout: it ends no session.
    ///
    /// The store does what it can: it writes a snapshot, syncs files, or waits for the last replies.
    ///
    /// - **D1** A flush changes nothing that can be loaded.
    ///
    /// # Errors
    ///
    /// If the writes could not be made durable.
    fn flush(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Flushes, stops the store's tasks and releases its resources.
    ///
    /// - **D2** It can be called twice, even concurrently. Later calls of other methods return a correct result or an
    ///   error.
    ///
    /// # Errors
    ///
    /// If the last flush failed.
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.flush()
    }
}
