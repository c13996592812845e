//! Leases. Each is an item beside the record, created by `ms … ME` and changed by compare-and-swap.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    client::{Cas, ClientError, Command, Mode, Reply, Status},
    envelope::{self, Held, SMALLEST_RECORD},
    expiry,
    item::{cas_of, stored},
    key::Key,
    place::Place,
    store::MemcachedStore,
    unexpected::{TRIES, unexpected},
};
use crate::{
    clock,
    id::SessionId,
    store::{Acquire, Holder, Metadata, StoreError, StoreErrorKind, backoff::Backoff, released::heard},
};

/// A stored lease: its holder, and its end by the store's clock. (Memcached's own expiry for it is up to two seconds
/// later.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    holder: Holder,
    until: SystemTime,
    /// The birth of the record that it was taken on. The lease ends with that record.
    birth: u32,
    /// Drawn for each write, to distinguish two writes of the same lease.
    nonce: u64,
}

/// The length of a lease: 16 bytes of the holder, 8 of the time, 4 of the birth and 8 of the nonce, little-endian, then
/// zeros up to the size of the smallest record. Anonymous visitors can cause leases, so leases must not be in the
/// epochs' slab class.
const LEASE_BYTES: usize = SMALLEST_RECORD;

/// Pauses between two reads of another holder's lease.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(160);
/// How long a wait may take before the caller looks at the session again. If it was renamed or evicted meanwhile, its
/// lease may still be there.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Lease {
    fn to_bytes(self) -> [u8; LEASE_BYTES] {
        let mut bytes = [0; LEASE_BYTES];
        bytes[..16].copy_from_slice(&self.holder.to_u128().to_le_bytes());
        bytes[16..24].copy_from_slice(&envelope::millis(self.until));
        bytes[24..28].copy_from_slice(&self.birth.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (holder, rest) = bytes.split_first_chunk::<16>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (birth, rest) = rest.split_first_chunk::<4>()?;
        let (nonce, _) = rest.split_first_chunk::<8>().filter(|_| bytes.len() == LEASE_BYTES)?;
        let (holder, until) = (Holder::from_u128(u128::from_le_bytes(*holder)), envelope::from_millis(*until));
        let (birth, nonce) = (u32::from_le_bytes(*birth), u64::from_le_bytes(*nonce));
        Some(Self { holder, until, birth, nonce })
    }

    /// Whether the lease binds the record of this birth at this time.
    fn binds(&self, birth: u32, now: SystemTime) -> bool {
        self.birth == birth && now < self.until
    }

    /// Reads the lease in the reply to a get. Bytes that are not a lease bind nobody, and their CAS value lets them be
    /// replaced.
    fn of(reply: &Reply) -> Result<Option<(Option<Self>, Cas)>, StoreError> {
        match reply.status {
            Status::Miss => Ok(None),
            Status::Value => Ok(Some((Self::from_bytes(&reply.value), cas_of(reply)?))),
            ref status => Err(unexpected(status)),
        }
    }
}

impl MemcachedStore {
    pub(super) async fn acquire_item(
        &self,
        id: &SessionId,
        holder: Holder,
        time: Duration,
    ) -> Result<Acquire, StoreError> {
        let (place, key) = (self.place(id), self.inner.keys.lease(id));
        let Some(record) = self.find(&place).await?.live() else { return Ok(Acquire::Absent) };
        let birth = record.head.birth;
        let mut mode = Mode::Absent;
        let mut extends = false;
        for _ in 0..TRIES {
            let now = self.now();
            let lease = Lease { holder, until: clock::later(now, time), birth, nonce: envelope::random()? };
            if self.put_lease(&place, &key, mode, lease).await? {
                let acquired = Acquire::acquired(lease.until);
                return if extends { Ok(acquired) } else { self.bump(id, &place, record, lease, acquired).await };
            }
            (mode, extends) = match self.lease(&place, &key).await? {
                None => (Mode::Absent, false),
                Some((Some(other), _)) if other.holder != holder && other.binds(birth, now) => {
                    return Ok(Acquire::Held);
                }
                Some((held, cas)) => {
                    (Mode::Cas(cas), held.is_some_and(|held| held.holder == holder && held.binds(birth, now)))
                }
            };
        }
        Ok(Acquire::Held)
    }

    /// Stores a lease. Returns whether the condition of `mode` held. If the outcome is unknown, the lease is read back.
    async fn put_lease(&self, place: &Place<'_>, key: &Key, mode: Mode, lease: Lease) -> Result<bool, StoreError> {
        let exptime = expiry::exptime(self.now(), lease.until);
        match place.call(Command::set(key, mode, exptime, 0, &[&lease.to_bytes()])).await {
            Ok(reply) => stored(&reply.status),
            Err(error) if error.sent => match self.lease(&place.renewed(), key).await {
                Ok(Some((Some(stored), _))) if stored == lease => Ok(true),
                _ => Err(error.of_write()),
            },
            Err(error) => Err(error.of_write()),
        }
    }

    async fn lease(&self, place: &Place<'_>, key: &Key) -> Result<Option<(Option<Lease>, Cas)>, StoreError> {
        Lease::of(&place.call(Command::get(key, "v c")).await.map_err(ClientError::of_read)?)
    }

    /// Rewrites the record unchanged. It then has a new version, so a holder whose lease has run out can't commit.
    async fn bump(
        &self,
        id: &SessionId,
        place: &Place<'_>,
        record: Held,
        lease: Lease,
        acquired: Acquire,
    ) -> Result<Acquire, StoreError> {
        let outcome = self.rewrite(place, record).await;
        if !matches!(outcome, Ok(true)) {
            // If this fails too, the lease runs out by itself.
            let _ = self.release(id, &place.renewed(), lease.holder, lease.birth).await;
        }
        Ok(if outcome? { acquired } else { Acquire::Absent })
    }

    async fn rewrite(&self, place: &Place<'_>, mut held: Held) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let record = &held.stored.record;
            let head = self.head(record, held.head.origin(), held.stored.usage())?;
            let reply = place.call(self.write(&place.key, Mode::Cas(held.cas), &head, record)).await;
            match reply.map_err(ClientError::of_write)?.status {
                Status::Done => return Ok(true),
                Status::Exists | Status::Restarted => {}
                Status::NotFound => return Ok(false),
                status => return Err(unexpected(&status)),
            }
            let Some(now) = self.find(place).await?.live() else { return Ok(false) };
            held = now;
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the record keeps changing"))
    }

    pub(super) async fn release_item(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let place = self.place(id);
        // If the session is gone, its lease is void.
        let Some(held) = self.find(&place).await?.live() else { return Ok(false) };
        self.release(id, &place, holder, held.head.birth).await
    }

    /// Waits until the lease may be free: released, expired, lost, or unreadable. Returns after about [`LONGEST_WAIT`]
    /// in any case.
    pub(super) async fn lease_ended(&self, id: &SessionId) {
        let (began, key) = (Instant::now(), self.inner.keys.lease(id));
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let (mut left, mut ring) = (LONGEST_PAUSE, self.inner.released.next(id));
        while began.elapsed() < LONGEST_WAIT {
            heard(ring, backoff.next().min(left)).await;
            // Registered before the read, so that a ring during the read is not missed.
            ring = self.inner.released.next(id);
            let Ok(Some((Some(lease), _))) = self.lease(&self.place(id), &key).await else { return };
            let Ok(time) = lease.until.duration_since(self.now()) else { return };
            left = time;
        }
    }

    async fn release(&self, id: &SessionId, place: &Place<'_>, holder: Holder, birth: u32) -> Result<bool, StoreError> {
        let key = &self.inner.keys.lease(id);
        let (lease, cas) = match self.lease(place, key).await? {
            Some((Some(lease), cas)) if lease.holder == holder => (lease, cas),
            _ => return Ok(false),
        };
        let reply = place.call(Command::delete(key, Some(cas))).await.map_err(ClientError::of_write)?;
        match reply.status {
            Status::Done => {
                self.inner.released.ring(id);
                Ok(lease.binds(birth, self.now()))
            }
            Status::Exists | Status::NotFound | Status::Restarted => Ok(false),
            status => Err(unexpected(&status)),
        }
    }

    pub(super) async fn metadata_of(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let place = self.place(id);
        let Some(held) = self.find(&place).await?.live() else { return Ok(None) };
        let now = self.now();
        let metadata = Metadata::of(&held.stored, now);
        Ok(Some(match self.lease(&place, &self.inner.keys.lease(id)).await? {
            Some((Some(lease), _)) if lease.binds(held.head.birth, now) => metadata.with_lease(lease.until),
            _ => metadata,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_lease_round_trips_and_other_bytes_bind_nobody() {
        let until = UNIX_EPOCH + Duration::from_millis(1_234);
        let lease = Lease { holder: Holder::from_u128(7 << 70), until, birth: 9, nonce: 10 };
        assert!(lease.binds(9, UNIX_EPOCH) && !lease.binds(8, UNIX_EPOCH) && !lease.binds(9, lease.until));
        assert_eq!(Lease::from_bytes(&lease.to_bytes()), Some(lease));
        assert_eq!(Lease::from_bytes(&lease.to_bytes()[1..]), None);
        assert_eq!(Lease::from_bytes(&[0; LEASE_BYTES + 1]), None);
    }
}
