//! A record in the table, with its bookkeeping.

use std::{mem::size_of, sync::Arc};

use super::lease::Lease;
use crate::{
    clock,
    id::SessionId,
    record::{Record, RecordKind},
    store::{Idle, Metadata, OwnerEpoch, Stored, Usage, Version},
};

/// One record and its bookkeeping. Times are milliseconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: SessionId,
    pub(super) record: Arc<Record>,
    pub(super) version: u64,
    pub(super) used_at: u64,
    pub(super) expires_at: u64,
    /// The place in the order of use, see [`stamp_after`].
    pub(super) stamp: u64,
    pub(super) loads: u32,
    pub(super) lease: Option<Box<Lease>>,
}

/// The ring of the order of use that a record is in. Eviction empties the earlier ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Ownerless = 0,
    Tombstone = 1,
    Epoch = 2,
    Owned = 3,
}

pub(super) const CLASSES: usize = 4;

impl Class {
    pub(super) fn of(record: &Record) -> Self {
        match record.kind() {
            RecordKind::Tombstone => Self::Tombstone,
            RecordKind::Epoch => Self::Epoch,
            RecordKind::Session | RecordKind::Sealed if record.owner().is_some() => Self::Owned,
            RecordKind::Session | RecordKind::Sealed => Self::Ownerless,
        }
    }

    /// The head of the class's ring.
    pub(super) fn head(self) -> u32 {
        self as u32
    }
}

impl Slot {
    pub(super) fn is_expired(&self, now: u64) -> bool {
        now >= self.expires_at
    }

    pub(super) fn is_idle(&self, idle: Idle, now: u64) -> bool {
        idle.includes_millis(self.record.lifetime(), self.used_at, now)
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { used_at: clock::from_millis(self.used_at), expires_at: clock::from_millis(self.expires_at) }
    }

    pub(super) fn stored(&self) -> Stored {
        let Usage { used_at, expires_at } = self.usage();
        Stored {
            record: Arc::clone(&self.record),
            version: Version::from_u64(self.version),
            used_at,
            expires_at,
            owner_epoch: OwnerEpoch::NotAsked,
            tracked: None,
        }
    }

    pub(super) fn metadata(&self, now: u64) -> Metadata {
        let mut metadata =
            Metadata::of(&self.stored(), clock::from_millis(now)).with_access_count(u64::from(self.loads));
        metadata.used_at = metadata.used_at.max(clock::from_millis(stamp_millis(self.stamp)));
        match self.lease(now) {
            Some(lease) => metadata.with_lease(clock::from_millis(lease.until)),
            None => metadata,
        }
    }

    /// The lease, if it is not over.
    pub(super) fn lease(&self, now: u64) -> Option<&Lease> {
        self.lease.as_deref().filter(|lease| now < lease.until)
    }
}

/// The bits of a stamp that distinguish uses within one millisecond.
const STAMP_BITS: u32 = 16;

/// Returns the stamp of a use at `now`. Stamps ascend within a shard, whatever the clock does, and can be compared
/// between shards to the millisecond. So the order of use and the time of the last access are one number.
pub(super) fn stamp_after(last: u64, now: u64) -> u64 {
    (now << STAMP_BITS).max(last + 1)
}

pub(super) fn stamp_millis(stamp: u64) -> u64 {
    stamp >> STAMP_BITS
}

/// The cost of a record in this store, in bytes of resident memory: its allocations as a common allocator rounds them;
/// its share of the slots, links, hash table and owner index, which grow by doubling; and what the allocator can't
/// reuse.
pub(super) fn cost(record: &Record) -> u64 {
    /// The record and its two reference counters, in one allocation.
    const SHARED: usize = size_of::<Record>() + 2 * size_of::<usize>();
    /// The slot, its two links, and a place in the hash table, which is between 7/16 and 7/8 full.
    const INDEX: usize = size_of::<Slot>() + 16 + 40;
    /// The owner's entry in the owner index, with one id in it.
    const OWNER_INDEX: usize = 96;

    let entries = record.entries().as_bytes().len();
    let owner = record.owner().map_or(0, |owner| allocated(owner.name().len() + 2 * size_of::<usize>()) + OWNER_INDEX);
    let entries = if entries == 0 { 0 } else { allocated(entries) };
    let used = INDEX + allocated(SHARED) + entries + owner;
    (used + used / UNUSABLE + if entries > LARGE { entries / UNUSABLE_LARGE } else { 0 }) as u64
}

/// The size of an allocation, with a header of eight bytes: a multiple of 16, at least 32.
fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

/// One part in this many is added for space that can't be reused: holes left by records of different sizes, and what
/// one thread's part of the heap keeps while another's grows. Measured with the system's allocator on Linux: see the
/// soak in `benches/engines`.
const UNUSABLE: usize = 4;

/// Above this size, one more part in `UNUSABLE_LARGE` is added: the hole that a large record leaves is rarely filled by
/// another of its size.
const LARGE: usize = 4_096;
const UNUSABLE_LARGE: usize = 8;
