//! The contract's operations on one session, each in one blocking call. Those that change something hold the shard's
//! lock.

use std::{sync::Weak, time::Duration};

use super::{
    content::{Header, Lease},
    disk::Disk,
    found::{Found, Held},
    locks::Locks,
    times,
};
use crate::{
    clock,
    id::{EntropyError, SessionId},
    record::{Record, RecordKind},
    store::{
        Acquire, Create, End, Holder, Metadata, OwnerEpoch, Refresh, Rename, StoreError, StoreErrorKind, Stored, Touch,
        Update, Usage, Version, provided,
    },
};

impl Disk {
    pub(super) fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let Some(stored) = self.load_alone(id)? else { return Ok(None) };
        let Some(owner) = stored.record.owner().filter(|_| stored.record.is_session()) else { return Ok(Some(stored)) };
        // The epoch is read after the record, in the same blocking call.
        let epoch = self.load_alone(&SessionId::for_epoch(owner.name()))?;
        let epoch = epoch.and_then(|epoch| provided::epoch_in(&epoch, owner.name()));
        Ok(Some(stored.with_owner_epoch(epoch)))
    }

    fn load_alone(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let held = self.live(id)?;
        self.vouch_for(id)?;
        held.map(|held| held.stored(id)).transpose()
    }

    pub(super) fn refresh(&self, id: &SessionId, known: &Version) -> Result<Refresh, StoreError> {
        if let Some(usage) = self.peek(id, known)? {
            self.vouch_for(id)?;
            return Ok(Refresh::Same { usage, owner_epoch: OwnerEpoch::NotAsked, tracked: None });
        }
        Ok(match self.load(id)? {
            None => Refresh::Gone,
            Some(stored) if stored.version == *known => {
                Refresh::Same { usage: stored.usage(), owner_epoch: stored.owner_epoch, tracked: None }
            }
            Some(stored) => Refresh::Changed(stored),
        })
    }

    pub(super) fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let held = self.live(id)?;
        self.vouch_for(id)?;
        let Some(held) = held else { return Ok(None) };
        let known = Metadata::of(&held.stored(id)?, self.clock.now());
        Ok(Some(match held.header.lease_at(self.now()) {
            Some(lease) => known.with_lease(clock::from_millis(lease.until)),
            None => known,
        }))
    }

    pub(super) fn create(
        &self,
        locks: &Locks,
        id: &SessionId,
        record: &Record,
        usage: Usage,
    ) -> Result<Create, StoreError> {
        let was = match self.find(id)? {
            Found::Live(_) => return Ok(Create::Exists),
            Found::Damaged(damaged) => return Err(damaged.report(id)),
            Found::Expired(owner) => owner,
            Found::Absent => None,
        };
        let header = Header::first(record, usage).map_err(no_randomness)?;
        self.put(locks, id, (&header, record.kind(), &record.to_bytes()), was, ends_sessions(record))?;
        Ok(Create::Created(header.version()))
    }

    pub(super) fn update(
        &self,
        locks: &Locks,
        id: &SessionId,
        record: &Record,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let Some(held) = self.live(id)? else { return Ok(Update::Gone) };
        if held.header.version() != *expected {
            return Ok(Update::Conflict(held.stored(id).ok()));
        }
        let header = held.header.next(record, usage).map_err(no_randomness)?;
        let content = (&header, record.kind(), &record.to_bytes()[..]);
        self.put(locks, id, content, held.header.owner, ends_sessions(record))?;
        Ok(Update::Updated(header.version()))
    }

    pub(super) fn touch(&self, locks: &Locks, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let Some(held) = self.live(id)? else { return Ok(Touch::Gone) };
        let used = clock::to_millis(usage.used_at).max(held.used);
        let expires = clock::to_millis(usage.expires_at).min(held.header.limit).max(held.expires);
        if times::is_far(expires) && expires != held.header.expires {
            // The file's times can't hold this expiry, so the header must.
            let header = held.header.with_usage(used, expires);
            self.put(locks, id, (&header, held.kind, held.record_bytes()), header.owner, false)?;
        } else {
            self.set_times(id, &held, used, expires)?;
        }
        Ok(Touch::Touched)
    }

    pub(super) fn remove(&self, locks: &Locks, id: &SessionId) -> Result<bool, StoreError> {
        let (owner, was_live) = match self.find(id)? {
            Found::Absent => return Ok(false),
            Found::Expired(owner) => (owner, false),
            Found::Live(held) => (held.header.owner, true),
            // A session that can't be read can still be removed.
            Found::Damaged(_) => (None, true),
        };
        self.unlink(locks, id, owner)?;
        Ok(was_live)
    }

    pub(super) fn end(&self, locks: &Locks, id: &SessionId, expected: &Version) -> Result<End, StoreError> {
        let Some(held) = self.live(id)? else { return Ok(End::Gone) };
        if held.header.version() != *expected {
            return Ok(End::Conflict(held.stored(id).ok()));
        }
        self.unlink(locks, id, held.header.owner)?;
        Ok(End::Ended)
    }

    /// Moves a session to a new id. Both shards are locked, so no other writer can come between the steps.
    pub(super) fn rename(
        &self,
        locks: &Locks,
        (from, to): (&SessionId, &SessionId),
        expected: &Version,
        (tombstone, record): (&Record, &Record),
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let Some(held) = self.live(from)? else { return Ok(Rename::Gone) };
        if held.header.version() != *expected {
            return Ok(Rename::Conflict(held.stored(from).ok()));
        }
        // A record that can't be read is not replaced.
        held.stored(from)?;
        let grave = held.header.next(tombstone, Usage::at(tombstone, usage.used_at)).map_err(no_randomness)?;
        let grave = grave.with_lease(None);
        let version = match self.create(locks, to, record, usage)? {
            Create::Created(version) => version,
            Create::Exists => return Ok(Rename::Exists),
        };
        // The new session is stored before the old one ends. If this write fails, the old one lives on.
        let content = (&grave, RecordKind::Tombstone, &tombstone.to_bytes()[..]);
        if let Err(error) = self.put(locks, from, content, held.header.owner, true) {
            if error.kind() != StoreErrorKind::OutcomeUnknown {
                // Nobody has the new session's token. If its removal fails, too, it expires unused.
                let owner = record.owner().map(|owner| SessionId::for_epoch(owner.name()));
                let _ = self.unlink(locks, to, owner);
            }
            return Err(error.into());
        }
        Ok(Rename::Renamed(version))
    }

    pub(super) fn acquire(
        &self,
        locks: &Locks,
        id: &SessionId,
        holder: Holder,
        time: Duration,
        caller: &Weak<()>,
    ) -> Result<Acquire, StoreError> {
        let Some(held) = self.live(id)? else { return Ok(Acquire::Absent) };
        let now = self.clock.now();
        // The caller is checked after the time is read. So the lease of a caller that has gone never ends later than
        // that caller requested.
        if caller.strong_count() == 0 {
            return Ok(Acquire::Held);
        }
        let until = clock::later(now, time);
        let lease = Some(Lease { holder: holder.to_u128(), until: clock::to_millis(until) });
        let header = match held.header.lease_at(clock::to_millis(now)) {
            Some(other) if other.holder != holder.to_u128() => return Ok(Acquire::Held),
            Some(_) => held.header.with_lease(lease),
            // The version changes, so a holder whose lease has run out can't commit over this one.
            None => held.header.with_lease(lease).renumbered().map_err(no_randomness)?,
        };
        self.rewrite(locks, id, &held, header)?;
        let stored = held.stored(id).ok().map(|stored| Stored { version: header.version(), ..stored });
        Ok(Acquire::Acquired { until, stored })
    }

    pub(super) fn release(&self, locks: &Locks, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let Some(held) = self.live(id)? else { return Ok(false) };
        match held.header.lease_at(self.now()) {
            Some(lease) if lease.holder == holder.to_u128() => {}
            _ => return Ok(false),
        }
        self.rewrite(locks, id, &held, held.header.with_lease(None))?;
        Ok(true)
    }

    /// Writes the same record with another header.
    fn rewrite(&self, locks: &Locks, id: &SessionId, held: &Held, header: Header) -> Result<(), StoreError> {
        let header = header.with_usage(held.used, held.expires);
        self.put(locks, id, (&header, held.kind, held.record_bytes()), header.owner, false)?;
        Ok(())
    }

    fn live(&self, id: &SessionId) -> Result<Option<Held>, StoreError> {
        match self.find(id)? {
            Found::Live(held) => Ok(Some(held)),
            Found::Absent | Found::Expired(_) => Ok(None),
            Found::Damaged(damaged) => Err(damaged.report(id)),
        }
    }
}

/// Whether a record ends sessions. A tombstone ends the session that it replaces, and a new epoch ends all sessions of
/// its owner. A power cut must not undo either.
fn ends_sessions(record: &Record) -> bool {
    !record.is_session()
}

fn no_randomness(error: EntropyError) -> StoreError {
    StoreError::new(StoreErrorKind::Other).because(error)
}
