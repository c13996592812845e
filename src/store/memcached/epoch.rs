//! An owner's epoch, in an item that contains nothing else.
//!
//! Memcached evicts within a slab class: a new item replaces only items of about its own size. An epoch is smaller than
//! any session, and so in a slab class that contains no sessions. Sessions don't evict it, however many there are.

use std::time::SystemTime;

use super::{
    client::{Cas, ClientError, Command, Mode, Reply, Status},
    envelope, expiry,
    generation::{Asked, Generation},
    item::{cas_of, stored},
    key::Key,
    place::Place,
    store::MemcachedStore,
    unexpected::{TRIES, unexpected},
};
use crate::{
    id::SessionId,
    record::Epoch,
    store::{StoreError, StoreErrorKind, Usage},
};

/// The format that this version writes.
const FORMAT: u8 = 1;

/// The length of an encoded epoch:
///
/// ```text
/// format = 1: u8 │ epoch: u64 │ generation: u64 │ expires at: u64
/// ```
///
/// Numbers are little-endian; the time is in milliseconds since the Unix epoch.
const EPOCH_BYTES: usize = 1 + 3 * 8;

/// A stored epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    epoch: Epoch,
    generation: u64,
    expires_at: SystemTime,
}

/// The item under an epoch's key.
enum Found {
    /// Nothing.
    Absent,
    /// An item that counts as absent: expired by the clock, of another generation, or not an epoch.
    Dead(Cas),
    Live(Item, Cas),
}

impl Item {
    /// A new epoch.
    fn new(generation: u64, expires_at: SystemTime) -> Result<Self, StoreError> {
        let epoch = Epoch::generate().map_err(|error| StoreError::new(StoreErrorKind::Other).because(error))?;
        Ok(Self { epoch, generation, expires_at })
    }

    fn to_bytes(self) -> [u8; EPOCH_BYTES] {
        let mut bytes = [FORMAT; EPOCH_BYTES];
        bytes[1..9].copy_from_slice(&self.epoch.to_u64().to_le_bytes());
        bytes[9..17].copy_from_slice(&self.generation.to_le_bytes());
        bytes[17..].copy_from_slice(&envelope::millis(self.expires_at));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EPOCH_BYTES] =
            bytes.try_into().ok().filter(|bytes: &&[u8; EPOCH_BYTES]| bytes[0] == FORMAT)?;
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            number
        };
        Some(Self {
            epoch: Epoch::from_u64(u64::from_le_bytes(number(1))),
            generation: u64::from_le_bytes(number(9)),
            expires_at: envelope::from_millis(number(17)),
        })
    }
}

impl MemcachedStore {
    /// Returns the owner's epoch, in one round trip.
    pub(super) async fn epoch_of(&self, owner: &SessionId) -> Result<Option<Epoch>, StoreError> {
        match self.find_epoch(&self.place(owner), &self.inner.keys.epoch(owner)).await? {
            Found::Live(item, _) => Ok(Some(item.epoch)),
            Found::Absent | Found::Dead(_) => Ok(None),
        }
    }

    async fn find_epoch(&self, place: &Place<'_>, key: &Key) -> Result<Found, StoreError> {
        let generation: Asked<'_> = self.ask_generation(place).await?;
        let reply = place.call(Command::get(key, "v c")).await.map_err(ClientError::of_read)?;
        self.read_epoch(&reply, generation.answer().await?)
    }

    fn read_epoch(&self, reply: &Reply, generation: Generation) -> Result<Found, StoreError> {
        match reply.status {
            Status::Miss => return Ok(Found::Absent),
            Status::Value => {}
            ref status => return Err(unexpected(status)),
        }
        let cas = cas_of(reply)?;
        let item = Item::from_bytes(&reply.value).filter(|_| !reply.stale);
        let live = item.filter(|item| self.now() < item.expires_at && generation.is(item.generation));
        Ok(live.map_or(Found::Dead(cas), |item| Found::Live(item, cas)))
    }

    /// Makes sure that the owner has an epoch that is kept at least until the expiry of this usage. Returns the epoch.
    pub(super) async fn keep_epoch(&self, owner: &SessionId, usage: Usage) -> Result<Epoch, StoreError> {
        let (place, key) = (self.place(owner), self.inner.keys.epoch(owner));
        // Capped at what memcached can keep, or each call would find the epoch's time too short.
        let wanted = expiry::reachable(self.now(), usage.expires_at);
        let generation = self.ensure_generation(&place).await?;
        for _ in 0..TRIES {
            let (item, mode) = match self.find_epoch(&place, &key).await? {
                Found::Live(item, _) if is_kept(&item, wanted) => return Ok(item.epoch),
                Found::Live(item, cas) => (Item { expires_at: wanted, ..item }, Mode::Cas(cas)),
                Found::Dead(cas) => (Item::new(generation, wanted)?, Mode::Cas(cas)),
                Found::Absent => (Item::new(generation, wanted)?, Mode::Absent),
            };
            match self.write_epoch(&place, &key, mode, item).await {
                Ok(reply) if stored(&reply.status)? => return Ok(item.epoch),
                Ok(_) => {}
                // If the stored epoch lasts long enough, it is the owner's epoch, whoever wrote it. Otherwise this
                // write may still arrive. It then fails, or makes an epoch that no session has.
                Err(error) if error.sent => match self.find_epoch(&place.renewed(), &key).await {
                    Ok(Found::Live(item, _)) if is_kept(&item, wanted) => return Ok(item.epoch),
                    _ => return Err(error.of_write()),
                },
                Err(error) => return Err(error.of_write()),
            }
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the epoch keeps changing"))
    }

    /// Replaces the owner's epoch. If there is none, all of the owner's sessions are revoked already.
    pub(super) async fn change_epoch(&self, owner: &SessionId, usage: Usage) -> Result<(), StoreError> {
        let (place, key) = (self.place(owner), self.inner.keys.epoch(owner));
        for _ in 0..TRIES {
            let Found::Live(old, cas) = self.find_epoch(&place, &key).await? else { return Ok(()) };
            let until = expiry::reachable(self.now(), usage.expires_at.max(old.expires_at));
            let new = Item::new(old.generation, until)?;
            match self.write_epoch(&place, &key, Mode::Cas(cas), new).await {
                Ok(reply) if stored(&reply.status)? => return Ok(()),
                Ok(_) => {}
                Err(error) if error.sent => match self.find_epoch(&place.renewed(), &key).await {
                    Ok(Found::Live(now, _)) if now.epoch == old.epoch => return Err(error.of_write()),
                    // The stored epoch is this write's, a later one, or none. Nothing brings the old one back.
                    Ok(_) => return Ok(()),
                    Err(_) => return Err(error.of_write()),
                },
                Err(error) => return Err(error.of_write()),
            }
        }
        Err(StoreError::new(StoreErrorKind::Other).because("the epoch keeps changing"))
    }

    async fn write_epoch(&self, place: &Place<'_>, key: &Key, mode: Mode, item: Item) -> Result<Reply, ClientError> {
        let exptime = expiry::exptime(self.now(), item.expires_at);
        place.call(Command::set(key, mode, exptime, 0, &[&item.to_bytes()])).await
    }
}

fn is_kept(item: &Item, wanted: SystemTime) -> bool {
    wanted <= item.expires_at
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::{
        super::{
            client::ITEM_OVERHEAD,
            envelope::SMALLEST_RECORD,
            key::{Key, Keys},
        },
        *,
    };

    fn item() -> Item {
        let expires_at = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        Item { epoch: Epoch::from_u64(0x0102_0304_0506_0708), generation: 9, expires_at }
    }

    /// Items written by 0.1.0 must be read by every later version.
    #[test]
    fn frozen_vector() {
        let hex: String = item().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01080706050403020109000000000000007b505c18a3010000");
        assert_eq!(Item::from_bytes(&item().to_bytes()), Some(item()));
    }

    #[test]
    fn other_bytes_are_no_epoch() {
        let bytes = item().to_bytes();
        assert!((0..EPOCH_BYTES).all(|cut| Item::from_bytes(&bytes[..cut]).is_none()));
        assert_eq!(Item::from_bytes(&[&bytes[..], b"x"].concat()), None);
        assert_eq!(Item::from_bytes(&[2; EPOCH_BYTES]), None);
    }

    /// The chunk sizes of memcached's slab classes, as its `slabs_init` computes them, for a growth factor in percent.
    fn slab_classes(percent: usize) -> impl Iterator<Item = usize> {
        let next = move |size: &usize| Some((size * percent / 100).next_multiple_of(8));
        std::iter::successors(Some(96), next).take_while(|&size| size < 4_096)
    }

    /// See "What eviction can do" on the store.
    #[test]
    fn an_epoch_is_in_a_class_below_every_session_lease_and_list() {
        for percent in [105, 108, 110, 115, 120, 125] {
            for prefix in 0..=100 {
                let (keys, owner) = (Keys::new(&"p".repeat(prefix)).unwrap(), SessionId::for_epoch("x"));
                let class = |key: Key, value: usize, flags: usize| {
                    let size = ITEM_OVERHEAD - 4 + flags + key.as_bytes().len() + value;
                    slab_classes(percent).position(|chunk| chunk >= size).expect("a class")
                };
                // Every record has client flags, of four bytes. The other items have none.
                let epoch = class(keys.epoch(&owner), EPOCH_BYTES, 0);
                let record = class(keys.record(&owner), SMALLEST_RECORD, 4);
                let lease = class(keys.lease(&owner), SMALLEST_RECORD, 0);
                let list = class(keys.sessions(&owner), 1 + 4 * 24, 0);
                assert!(epoch < record.min(lease).min(list), "growth {percent} %, prefix of {prefix} bytes");
            }
        }
        assert!(slab_classes(125).take(10).eq([96, 120, 152, 192, 240, 304, 384, 480, 600, 752]));
    }

    proptest! {
        #[test]
        fn hostile_epochs_never_panic(bytes: Vec<u8>, expires: [u8; 8]) {
            let _ = Item::from_bytes(&bytes);
            let mut value = item().to_bytes();
            value[17..].copy_from_slice(&expires);
            prop_assert!(Item::from_bytes(&value).is_some());
        }
    }
}
