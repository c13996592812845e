//! The table: its shards, and the calls on them.

use std::{sync::Arc, time::Duration};

use super::{
    departed::Evicted,
    journal::{Journal, Ticket},
    journal_line::JournalLine,
    lease::Lease,
    occupancy::{Bounds, Occupancy},
    owners::Owners,
    shard::{self, Fate, Shard, Shared, Totals},
    slot::{self, Slot},
    sync::{Apart, AtomicU64, Mutex, MutexGuard, Ordering, lock},
};
use crate::{
    clock,
    id::SessionId,
    record::{Record, RecordKind},
    store::{
        Acquire, Create, End, Holder, Metadata, Rename, StoreError, StoreErrorKind, Stored, Touch, Update, Usage,
        Version, id_hash::IdHash,
    },
};

/// A shortening of the expiry by up to this much is not written to the journal, since a restart takes longer.
const SHORTER_MILLIS: u64 = 1_000;

/// The least capacity per shard. With less, more shards would only blur the order of eviction.
const SESSIONS_PER_SHARD: u64 = 512;

const MOST_SHARDS: u64 = 64;

/// Shards, selected by the id's hash. Every method is synchronous and short. No method holds the locks of two shards,
/// except a rename and the methods that concern all shards, which lock in ascending order.
///
/// ```text
/// eviction ─▶ shards, ascending ─▶ one part of the owner index, or the journal's queue
/// ```
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Apart<Mutex<Shard>>]>,
    id_hash: IdHash,
    pub(super) shared: Shared,
    /// Held during eviction, so that two callers don't both make room for the same excess.
    pub(super) evicting: Mutex<()>,
}

/// The result of a call, and the journal's line that must be written before it is returned.
#[derive(Debug)]
pub(super) struct Done<T> {
    pub(super) outcome: T,
    pub(super) ticket: Option<Ticket>,
    pub(super) evicted: Evicted,
    /// An expired record that was in the way.
    pub(super) expired: Option<Box<Slot>>,
}

impl<T> Done<T> {
    fn new(outcome: T) -> Self {
        Self { outcome, ticket: None, evicted: Evicted::default(), expired: None }
    }

    fn when(mut self, ticket: Option<Ticket>) -> Self {
        self.ticket = ticket;
        self
    }

    fn map<U>(self, map: impl FnOnce(T) -> U) -> Done<U> {
        let Self { outcome, ticket, evicted, expired } = self;
        Done { outcome: map(outcome), ticket, evicted, expired }
    }
}

type Answer<T> = Result<Done<T>, StoreError>;

impl Table {
    pub(super) fn new(bounds: Bounds, version: u64, journal: Option<Arc<Journal>>, now: u64) -> Self {
        let shards = (bounds.capacity / SESSIONS_PER_SHARD).clamp(1, MOST_SHARDS);
        // The largest power of two that is not above that.
        Self::with_shards(1 << shards.ilog2(), bounds, version, journal, now)
    }

    pub(super) fn with_shards(
        shards: usize,
        bounds: Bounds,
        version: u64,
        journal: Option<Arc<Journal>>,
        now: u64,
    ) -> Self {
        let id_hash = IdHash::random();
        // loom replays schedules, and each must take the same locks. The index hashes owners at random, so it has one
        // part only.
        let parts = if cfg!(session_layer_loom) { 1 } else { shards };
        Self {
            shards: (0..shards).map(|_| Apart(Mutex::new(Shard::new(id_hash.clone(), now)))).collect(),
            id_hash,
            shared: Shared {
                bounds,
                occupancy: Apart(Occupancy::new()),
                owners: Owners::new(parts),
                version: Apart(AtomicU64::new(version)),
                journal,
            },
            evicting: Mutex::new(()),
        }
    }

    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The shard of an id. Taken from the middle of the hash, since the map in the shard uses both ends.
    pub(super) fn shard_of(&self, id: &SessionId) -> usize {
        (self.id_hash.hash(id) >> 32) as usize % self.shards.len()
    }

    pub(super) fn shard_at(&self, at: usize) -> Result<MutexGuard<'_, Shard>, StoreError> {
        let shard = lock(&self.shards[at]);
        if shard.closed { Err(closed()) } else { Ok(shard) }
    }

    pub(super) fn shard_even_closed(&self, at: usize) -> MutexGuard<'_, Shard> {
        lock(&self.shards[at])
    }

    fn shard(&self, id: &SessionId) -> Result<MutexGuard<'_, Shard>, StoreError> {
        self.shard_at(self.shard_of(id))
    }

    /// Locks every shard, in ascending order.
    pub(super) fn all_shards(&self) -> Result<Vec<MutexGuard<'_, Shard>>, StoreError> {
        (0..self.shards.len()).map(|at| self.shard_at(at)).collect()
    }

    /// Refuses every call from now on. Returns whether this call closed the table.
    pub(super) fn close(&self) -> bool {
        let mut guards: Vec<_> = self.shards.iter().map(|shard| lock(shard)).collect();
        let first = guards.iter().all(|shard| !shard.closed);
        guards.iter_mut().for_each(|shard| shard.closed = true);
        first
    }

    pub(super) fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        self.shards.iter().for_each(|shard| sum.add(&lock(shard).totals));
        sum
    }

    /// Records in the journal that no state of `id` up to `version` is to be restored, or to live longer than
    /// `not_after`.
    fn note(&self, id: &SessionId, version: u64, not_after: u64) -> Option<Ticket> {
        self.shared.journal.as_ref().map(|journal| journal.push(JournalLine::one(id, version, not_after)))
    }

    /// Records in the journal that an id is absent, even if nothing was removed: a snapshot may still contain it, since
    /// evictions are not recorded.
    fn note_absent(&self, id: &SessionId) -> Option<Ticket> {
        self.note(id, self.shared.version.load(Ordering::Acquire), 0)
    }

    fn fits(&self, record: &Record) -> Result<(), StoreError> {
        let (cost, most) = (slot::cost(record), self.shared.bounds.largest(record));
        if cost <= most {
            return Ok(());
        }
        let cause = format!(
            "it would take {cost} of the store's {} bytes; one record may take at most {most}",
            self.shared.bounds.bytes
        );
        Err(StoreError::new(StoreErrorKind::TooLarge).because(cause))
    }

    pub(super) fn load(&self, id: &SessionId, now: u64) -> Result<Option<Stored>, StoreError> {
        let mut shard = self.shard(id)?;
        Ok(shard.find_live(id, now).map(|slot| shard.load(slot, now)))
    }

    /// Reads without counting as a use.
    pub(super) fn peek<T>(&self, id: &SessionId, read: impl FnOnce(&Slot) -> T) -> Result<Option<T>, StoreError> {
        let shard = self.shard(id)?;
        Ok(shard.find(id).map(|slot| read(shard.slot(slot))))
    }

    pub(super) fn metadata(&self, id: &SessionId, now: u64) -> Result<Option<Metadata>, StoreError> {
        self.peek(id, |held| held.metadata(now))
    }

    pub(super) fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage, now: u64) -> Answer<Create> {
        self.fits(record)?;
        let mut expired = None;
        let version = {
            let mut shard = self.shard(id)?;
            if let Some(slot) = shard.find(id) {
                if !shard.slot(slot).is_expired(now) {
                    return Ok(Done::new(Create::Exists));
                }
                expired = Some(Box::new(shard.take(&self.shared, slot, Fate::Expired)));
            }
            shard.create(&self.shared, id, record, usage, now)
        };
        let evicted = self.make_room(id);
        Ok(Done { evicted, expired, ..Done::new(Create::Created(Version::from_u64(version))) })
    }

    pub(super) fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
        now: u64,
    ) -> Answer<Update> {
        let Some(done) = self.update_unless_noted(id, record, expected, usage, now, false)? else {
            unreachable!("only a call that must not wait for the journal is left undone");
        };
        Ok(done)
    }

    /// Like [`update`](Self::update), but returns `None` and does nothing if the journal would have to note the update and
    /// `is_left` is set.
    pub(super) fn update_unless_noted(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
        now: u64,
        is_left: bool,
    ) -> Result<Option<Done<Update>>, StoreError> {
        self.fits(record)?;
        let (old, version, ticket) = {
            let mut shard = self.shard(id)?;
            let Some(slot) = shard.find_live(id, now) else { return Ok(Some(Done::new(Update::Gone))) };
            let held = shard.slot(slot);
            if expected.to_u64() != Some(held.version) {
                return Ok(Some(Done::new(Update::Conflict(Some(held.stored())))));
            }
            let old_version = held.version;
            let not_after = self.not_after(held, record, usage);
            if is_left && not_after.is_some() {
                return Ok(None);
            }
            let (old, version) = shard.replace(&self.shared, slot, record, usage, now);
            (old, version, not_after.and_then(|not_after| self.note(id, old_version, not_after)))
        };
        drop(old);
        let evicted = self.make_room(id);
        Ok(Some(Done { evicted, ..Done::new(Update::Updated(Version::from_u64(version))) }.when(ticket)))
    }

    /// Returns until when the state in this slot may be restored if it is replaced by this record, or `None` if the journal
    /// need not note that.
    fn not_after(&self, held: &Slot, record: &Record, usage: Usage) -> Option<u64> {
        self.shared.journal.as_ref()?;
        if is_ended_by(&held.record, record) {
            return Some(0);
        }
        let (_, expiry) = shard::millis(record, usage);
        (expiry.saturating_add(SHORTER_MILLIS) < held.expires_at).then_some(expiry)
    }

    pub(super) fn touch(&self, id: &SessionId, usage: Usage, now: u64) -> Answer<Touch> {
        let mut shard = self.shard(id)?;
        let Some(slot) = shard.find_live(id, now) else { return Ok(Done::new(Touch::Gone)) };
        shard.touch(slot, usage, now);
        Ok(Done::new(Touch::Touched))
    }

    /// Removes a record. Returns it if it was live.
    pub(super) fn remove(&self, id: &SessionId, now: u64) -> Answer<Option<Stored>> {
        let shard = self.shard(id)?;
        match shard.find(id) {
            Some(slot) => Ok(self.take_out(shard, slot, now)),
            None => Ok(Done::new(None).when(self.note_absent(id))),
        }
    }

    /// Removes a session if it has the expected version.
    pub(super) fn end(&self, id: &SessionId, expected: &Version, now: u64) -> Answer<End> {
        let shard = self.shard(id)?;
        let Some(slot) = shard.find(id) else {
            return Ok(Done::new(End::Gone).when(self.note_absent(id)));
        };
        let held = shard.slot(slot);
        if !held.is_expired(now) && expected.to_u64() != Some(held.version) {
            return Ok(Done::new(End::Conflict(Some(held.stored()))));
        }
        Ok(self.take_out(shard, slot, now).map(|removed| if removed.is_some() { End::Ended } else { End::Gone }))
    }

    /// Takes out a slot and records in the journal that it must not return. Returns its record if it was live.
    fn take_out(&self, mut shard: MutexGuard<'_, Shard>, slot: u32, now: u64) -> Done<Option<Stored>> {
        let fate = if shard.slot(slot).is_expired(now) { Fate::Expired } else { Fate::Removed };
        let taken = shard.take(&self.shared, slot, fate);
        let id = &taken.id;
        let ticket = self.note(id, taken.version, 0);
        drop(shard);
        match fate {
            Fate::Removed => Done::new(Some(taken.stored())).when(ticket),
            _ => Done { expired: Some(Box::new(taken)), ..Done::new(None) }.when(ticket),
        }
    }

    pub(super) fn rename(
        &self,
        (from, to): (&SessionId, &SessionId),
        expected: &Version,
        tombstone: &Arc<Record>,
        record: &Arc<Record>,
        usage: Usage,
        now: u64,
    ) -> Answer<Rename> {
        self.fits(record)?;
        let (first, second) = (self.shard_of(from), self.shard_of(to));
        let mut expired = None;
        let (version, lease, old, ticket) = {
            let mut lower = self.shard_at(first.min(second))?;
            let mut upper = if first == second { None } else { Some(self.shard_at(first.max(second))?) };
            let mut of = |at: usize, run: &mut dyn FnMut(&mut Shard)| match &mut upper {
                Some(upper) if at == first.max(second) => run(upper),
                _ => run(&mut lower),
            };

            let (mut found, mut taken) = (None, false);
            of(first, &mut |shard| {
                found = shard.find_live(from, now).map(|slot| (slot, shard.slot(slot).stored()));
            });
            let Some((slot, held)) = found else {
                return Ok(Done::new(Rename::Gone).when(self.note_absent(from)));
            };
            let Some(old_version) = expected.to_u64().filter(|_| *expected == held.version) else {
                return Ok(Done::new(Rename::Conflict(Some(held))));
            };
            of(second, &mut |shard| taken = shard.find_live(to, now).is_some());
            if taken {
                return Ok(Done::new(Rename::Exists));
            }
            // The new record is created first. Otherwise the owner would have no session for a moment, and its epoch
            // might be evicted.
            let mut version = 0;
            of(second, &mut |shard| {
                expired = shard.find(to).map(|slot| Box::new(shard.take(&self.shared, slot, Fate::Expired)));
                version = shard.create(&self.shared, to, record, usage, now);
            });
            let left = Usage::at(tombstone, usage.used_at);
            let (mut lease, mut old) = (None, None);
            of(first, &mut |shard| {
                old = Some(shard.replace(&self.shared, slot, tombstone, left, now));
                lease = shard.slot_mut(slot).lease.take();
            });
            (version, lease, old, self.note(from, old_version, 0))
        };
        drop((lease, old));
        let evicted = self.make_room(to);
        Ok(Done { evicted, expired, ..Done::new(Rename::Renamed(Version::from_u64(version))) }.when(ticket))
    }

    /// Replaces an owner's epoch, if there is one. If not, makes sure that none is restored.
    pub(super) fn renew_epoch(&self, id: &SessionId, record: &Arc<Record>, usage: Usage, now: u64) -> Answer<()> {
        let mut shard = self.shard(id)?;
        let Some(slot) = shard.find_live(id, now) else {
            return Ok(Done::new(()).when(self.note_absent(id)));
        };
        let (version, expiry) = (shard.slot(slot).version, clock::from_millis(shard.slot(slot).expires_at));
        let kept = Usage { expires_at: usage.expires_at.max(expiry), ..usage };
        let old = shard.replace(&self.shared, slot, record, kept, now);
        let ticket = self.note(id, version, 0);
        drop(shard);
        drop(old);
        Ok(Done::new(()).when(ticket))
    }

    pub(super) fn acquire(
        &self,
        id: &SessionId,
        holder: Holder,
        time: Duration,
        now: u64,
    ) -> Result<(Acquire, Option<Box<Lease>>), StoreError> {
        let mut shard = self.shard(id)?;
        let Some(slot) = shard.find_live(id, now) else { return Ok((Acquire::Absent, None)) };
        let until = clock::to_millis(clock::later(clock::from_millis(now), time));
        let acquired =
            |held: &Slot| Acquire::Acquired { until: clock::from_millis(until), stored: Some(held.stored()) };
        let held = shard.slot_mut(slot);
        match &mut held.lease {
            Some(lease) if now < lease.until && lease.holder == holder => {
                lease.until = until;
                Ok((acquired(held), None))
            }
            Some(lease) if now < lease.until => Ok((Acquire::Held, None)),
            over => {
                let over = over.replace(Lease::new(holder, until));
                // A holder whose lease has run out can't commit over this one (K2).
                held.version = self.shared.next_version();
                Ok((acquired(held), over))
            }
        }
    }

    /// Gives a lease back. The caller drops it after the lock is released, which wakes the waiters.
    pub(super) fn release(&self, id: &SessionId, holder: Holder, now: u64) -> Result<Option<Box<Lease>>, StoreError> {
        let mut shard = self.shard(id)?;
        let Some(slot) = shard.find_live(id, now) else { return Ok(None) };
        let lease = &mut shard.slot_mut(slot).lease;
        let holds = lease.as_ref().is_some_and(|lease| now < lease.until && lease.holder == holder);
        Ok(if holds { lease.take() } else { None })
    }
}

/// Whether the old state must not come back once the new one was acknowledged, like that of a removed session: the
/// session's owner changed, an epoch was renewed, or the session became a tombstone.
fn is_ended_by(old: &Record, new: &Record) -> bool {
    let ends = old.kind() == RecordKind::Epoch || old.is_session();
    ends && (old.owner() != new.owner() || old.is_session() != new.is_session())
}

pub(super) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable).because("the store is closed")
}
