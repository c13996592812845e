//! The contract between the layer and a store.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Create, Cursor, End, Holder, Idle, Lock, Metadata, Page, Refresh, Rename, StoreError, StoreErrorKind, Stored,
    Swept, Touch, Update, Usage, Version,
};
use crate::{
    id::{EntropyError, SessionId},
    record::{Epoch, Owner, Record, RecordKind},
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
        async move {
            let grave = Arc::new(Record::grave(now).map_err(no_randomness)?);
            let is_acknowledged = match self.update(id, &grave, expected, Usage::at(&grave, now)).await {
                Ok(Update::Updated(_)) => true,
                Ok(Update::Conflict) => return Ok(End::Conflict),
                Ok(Update::Gone) => return Ok(End::Gone),
                Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => match self.load(id).await {
                    Ok(Some(held)) if held.record == grave => false,
                    // Another write came first, so this one finds another version and can't take effect.
                    Ok(Some(held)) if held.version != *expected => return Ok(End::Conflict),
                    Ok(None) => return Ok(End::Gone),
                    Ok(Some(_)) | Err(_) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            match self.remove(id).await {
                // The write of the grave was seen, but not acknowledged: it may not be durable.
                Err(error) if !is_acknowledged => Err(error),
                // An acknowledged grave ends the session, and expires by itself.
                Ok(_) | Err(_) => Ok(End::Ended),
            }
        }
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
        async move {
            // Check first, so that nothing is created in vain.
            let Some(held) = self.load(from).await? else { return Ok(Rename::Gone) };
            if held.version != *expected {
                return Ok(Rename::Conflict);
            }
            let created = match self.create(to, record, usage).await? {
                Create::Created(version) => version,
                Create::Exists => return Ok(Rename::Exists),
            };
            let outcome = match self.update(from, tombstone, expected, Usage::at(tombstone, usage.used_at)).await {
                Ok(Update::Updated(_)) => return Ok(Rename::Renamed(created)),
                Ok(Update::Conflict) => Ok(Rename::Conflict),
                Ok(Update::Gone) => Ok(Rename::Gone),
                Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => match self.load(from).await {
                    Ok(Some(now)) if now.record == *tombstone => return Ok(Rename::Renamed(created)),
                    // Another write came first, so this one finds another version and can't take effect.
                    Ok(Some(now)) if now.version != *expected => Ok(Rename::Conflict),
                    Ok(None) => Ok(Rename::Gone),
                    // The old version is still there: the write did not happen, or has not yet. Keep `to` in case it
                    // still does.
                    Ok(Some(_)) | Err(_) => return Err(error),
                },
                Err(error) => Err(error),
            };
            // Nobody has the token of `to`; if this fails, it expires unused.
            let _ = self.remove(to).await;
            outcome
        }
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
        async move {
            Ok(match self.load(id).await? {
                None => Refresh::Gone,
                Some(stored) if stored.version == held.version => Refresh::Same(stored.usage()),
                Some(stored) => Refresh::Changed(stored),
            })
        }
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
        async move { Ok(self.load(&SessionId::of_owner(owner)).await?.and_then(|stored| epoch_in(&stored, owner))) }
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
        async move {
            let id = SessionId::of_owner(owner);
            for _ in 0..EPOCH_TRIES {
                if let Some(stored) = self.load(&id).await? {
                    let Some(epoch) = epoch_in(&stored, owner) else { return Err(foreign_epoch(&id)) };
                    if usage.expires_at <= stored.expires_at {
                        return Ok(epoch);
                    }
                    // Not a touch: of two that extend at once, the shorter one could come last.
                    if let Update::Updated(_) = self.update(&id, &stored.record, &stored.version, usage).await? {
                        return Ok(epoch);
                    }
                } else {
                    let (epoch, record) = new_epoch(owner, usage)?;
                    if let Create::Created(_) = self.create(&id, &record, usage).await? {
                        return Ok(epoch);
                    }
                }
            }
            Err(StoreError::new(StoreErrorKind::Other).during("ensure_epoch").because("the epoch keeps changing"))
        }
    }

    /// Gives an owner a new epoch: every session that was logged in before is revoked from now on.
    ///
    /// - **E4** Afterwards the epoch is another one than before; where there was none, there may be none.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) and [`load`](Self::load): then the sessions may live on.
    fn renew_epoch(&self, owner: &str, usage: Usage) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            let id = SessionId::of_owner(owner);
            for _ in 0..EPOCH_TRIES {
                // No epoch revokes as well as a new one.
                let Some(stored) = self.load(&id).await? else { return Ok(()) };
                let (_, record) = new_epoch(owner, usage)?;
                let kept = Usage { expires_at: usage.expires_at.max(stored.expires_at), ..usage };
                match self.update(&id, &record, &stored.version, kept).await? {
                    Update::Updated(_) | Update::Gone => return Ok(()),
                    Update::Conflict => {}
                }
            }
            Err(StoreError::new(StoreErrorKind::Other).during("renew_epoch").because("the epoch keeps changing"))
        }
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
    /// `Unsupported` by default.
    fn metadata(&self, id: &SessionId) -> impl Future<Output = Result<Option<Metadata>, StoreError>> + Send {
        async move { Err(StoreError::unsupported("metadata").on(id)) }
    }

    /// The ids of live sessions, a page at a time: about `limit` from `from` on.
    ///
    /// - **I1** Walking from [`Cursor::START`] to the end names every session that lives all the while at least once,
    ///   whatever else is created and removed. Once nothing is created any more, the walk ends.
    /// - **I2** Tombstones, epochs and expired sessions are not named.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn ids(&self, from: Cursor, limit: usize) -> impl Future<Output = Result<Page, StoreError>> + Send {
        async move {
            let _ = (from, limit);
            Err(StoreError::unsupported("ids"))
        }
    }

    /// How many live sessions there are.
    ///
    /// - **I3** It is the number of different ids that [`ids`](Self::ids) names.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn count(&self) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move { Err(StoreError::unsupported("count")) }
    }

    /// Removes everything: sessions, tombstones and epochs. How many live sessions there were; 0 where the store can't
    /// count.
    ///
    /// - **I4** Afterwards every id is absent, and no update that was under way brings one back. A rename that was under
    ///   way leaves nothing under its old id and nothing under its new one.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn clear(&self) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move { Err(StoreError::unsupported("clear")) }
    }

    /// Removes what has expired. It must never be needed for a session to be absent, only for its space.
    ///
    /// - **W1** Expired sessions are deleted and counted, live ones remain and are counted.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn sweep(&self) -> impl Future<Output = Result<Swept, StoreError>> + Send {
        async move { Err(StoreError::unsupported("sweep")) }
    }

    /// Removes sessions that have been idle for a time, and expired ones.
    ///
    /// - **W2** A session is deleted if [`Idle::includes`] it, and remains if not. (Touches are throttled, so the last
    ///   use can be later than recorded, by at most a fraction of the idle timeout that the caller names.)
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn delete_idle(&self, idle: Idle) -> impl Future<Output = Result<Swept, StoreError>> + Send {
        async move {
            let _ = idle;
            Err(StoreError::unsupported("delete_idle"))
        }
    }

    /// The live sessions of an owner, revoked ones included: compare the epoch.
    ///
    /// - **O1** Every live session whose record has this owner is listed, and no other.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn list_owner(&self, owner: &str) -> impl Future<Output = Result<Vec<(SessionId, Stored)>, StoreError>> + Send {
        async move {
            let _ = owner;
            Err(StoreError::unsupported("list_owner"))
        }
    }

    /// Takes or extends the lease of a session for this holder, for this long.
    ///
    /// - **K1** Of two holders at most one has the lease; the other is answered `Held`. What does not exist is `Absent`.
    /// - **K2** Acquiring a lease gives the record a new version, so that a holder whose lease ran out can't commit over
    ///   the next one. Extending one's own does not.
    /// - **K3** A lease ends by itself at its time, and with its session.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn lock(
        &self,
        id: &SessionId,
        holder: Holder,
        time: Duration,
    ) -> impl Future<Output = Result<Lock, StoreError>> + Send {
        async move {
            let _ = (holder, time);
            Err(StoreError::unsupported("lock").on(id))
        }
    }

    /// Gives a lease back. `true` if this holder had it.
    ///
    /// - **K4** Unlocking what one does not hold is `false` and changes nothing.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn unlock(&self, id: &SessionId, holder: Holder) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move {
            let _ = holder;
            Err(StoreError::unsupported("unlock").on(id))
        }
    }

    /// Waits until the lease may be free, at most this long. It may return early: ask [`lock`](Self::lock) again.
    ///
    /// - **K5** It ends soon after the lease is given back, after `at_most` at the latest, and holds nothing.
    ///
    /// The provided form waits a short time; a store that can wakes the waiter when the lease is given back.
    fn unlocked(&self, id: &SessionId, at_most: Duration) -> impl Future<Output = ()> + Send {
        let _ = id;
        tokio::time::sleep(at_most.min(LEASE_POLL))
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

/// How often an epoch is tried that others change at the same time.
const EPOCH_TRIES: usize = 64;

/// How long a waiter for a lease waits before it asks again, where the store can't wake it.
const LEASE_POLL: Duration = Duration::from_millis(50);

fn epoch_in(stored: &Stored, owner: &str) -> Option<Epoch> {
    let held = stored.record.owner().filter(|held| **held.name() == *owner)?;
    (stored.record.kind() == RecordKind::Epoch).then(|| held.epoch())
}

fn new_epoch(owner: &str, usage: Usage) -> Result<(Epoch, Arc<Record>), StoreError> {
    let epoch = Epoch::generate().map_err(no_randomness)?;
    let owner = Owner::new(owner, epoch).map_err(|error| StoreError::new(StoreErrorKind::Other).because(error))?;
    Ok((epoch, Arc::new(Record::epoch(owner, usage.used_at))))
}

fn no_randomness(error: EntropyError) -> StoreError {
    StoreError::new(StoreErrorKind::Other).because(error)
}

fn foreign_epoch(id: &SessionId) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).on(id).because("the record is not the epoch of this owner")
}
