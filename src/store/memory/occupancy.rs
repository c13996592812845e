//! What the whole table holds, and the bounds on it.

use super::{
    slot::{self, Class},
    sync::{AtomicU64, Ordering},
};
use crate::record::Record;

/// How much a table may hold. A part is reserved for sessions without an owner, so that creating anonymous sessions
/// never evicts a login, not even in a store that is full of logins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) capacity: u64,
    pub(super) bytes: u64,
    owned_capacity: u64,
    owned_bytes: u64,
}

/// One part in this many is reserved for sessions without an owner.
const RESERVE: u64 = 32;

/// At least this many bytes are reserved for them, unless that is more than half. It is the cost of the layer's largest
/// record by default.
const RESERVE_BYTES: u64 = 192 * 1024;

impl Bounds {
    pub(super) fn new(capacity: u64, bytes: u64) -> Self {
        // With a capacity of one session, there is nothing to reserve.
        let reserve = if capacity < 2 { 0 } else { (capacity / RESERVE).max(1) };
        let reserve_bytes = (bytes / RESERVE).max(RESERVE_BYTES.min(bytes / 2));
        Self { capacity, bytes, owned_capacity: capacity - reserve, owned_bytes: bytes - reserve_bytes }
    }

    /// The largest cost that one record may have. A record without an owner must fit into the reserved part.
    pub(super) fn largest(&self, record: &Record) -> u64 {
        match Class::of(record) {
            Class::Owned | Class::Epoch => self.owned_bytes,
            Class::Ownerless | Class::Tombstone => self.bytes - self.owned_bytes,
        }
    }

    #[cfg(test)]
    pub(super) fn owned_capacity(&self) -> u64 {
        self.owned_capacity
    }

    #[cfg(test)]
    pub(super) fn owned_bytes(&self) -> u64 {
        self.owned_bytes
    }
}

/// The running totals of all shards.
///
/// The last caller that adds to a total sees everything that was added, and makes room. So no total stays too high.
#[derive(Debug)]
pub(super) struct Occupancy {
    sessions: AtomicU64,
    owned_sessions: AtomicU64,
    bytes: AtomicU64,
    /// The bytes of owned sessions and epochs.
    owned_bytes: AtomicU64,
}

impl Occupancy {
    pub(super) fn new() -> Self {
        Self {
            sessions: AtomicU64::new(0),
            owned_sessions: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            owned_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, record: &Record) {
        self.book(record, |total, by| total.fetch_add(by, Ordering::AcqRel));
    }

    pub(super) fn subtract(&self, record: &Record) {
        self.book(record, |total, by| total.fetch_sub(by, Ordering::AcqRel));
    }

    /// Resets all totals. The caller holds every shard's lock.
    pub(super) fn clear(&self) {
        for total in [&self.sessions, &self.owned_sessions, &self.bytes, &self.owned_bytes] {
            total.store(0, Ordering::Release);
        }
    }

    fn book(&self, record: &Record, add: impl Fn(&AtomicU64, u64) -> u64) {
        let (class, cost) = (Class::of(record), slot::cost(record));
        add(&self.bytes, cost);
        if matches!(class, Class::Owned | Class::Epoch) {
            add(&self.owned_bytes, cost);
        }
        if matches!(class, Class::Owned | Class::Ownerless) {
            add(&self.sessions, 1);
        }
        if class == Class::Owned {
            add(&self.owned_sessions, 1);
        }
    }

    /// The number of sessions, live or not yet swept.
    pub(super) fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Which classes to evict from, in this order, if a bound is exceeded.
    pub(super) fn excess(&self, bounds: &Bounds) -> Option<&'static [Class]> {
        if self.owned_sessions.load(Ordering::Acquire) > bounds.owned_capacity && bounds.capacity > 1 {
            Some(&[Class::Owned])
        } else if self.owned_bytes.load(Ordering::Acquire) > bounds.owned_bytes {
            Some(&[Class::Epoch, Class::Owned])
        } else if self.sessions() > bounds.capacity {
            Some(&[Class::Ownerless, Class::Owned])
        } else if self.bytes() > bounds.bytes {
            Some(&[Class::Ownerless, Class::Tombstone, Class::Epoch, Class::Owned])
        } else {
            None
        }
    }
}
