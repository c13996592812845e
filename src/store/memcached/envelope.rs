//! The encoding of a record as an item's value.

use std::{sync::Arc, time::SystemTime};

use super::{client::Cas, expiry};
use crate::{
    clock,
    id::random_u64,
    record::Record,
    store::{StoreError, StoreErrorKind, Stored, Usage, Version},
};

/// The format that this version writes.
const FORMAT: u8 = 1;

/// The length of a head, in bytes.
pub(super) const HEAD_BYTES: usize = 1 + 4 * 8 + 4;

/// The length of the smallest value, which is that of a tombstone, in bytes.
pub(super) const SMALLEST_RECORD: usize = HEAD_BYTES + 43;

/// The head of an item's value, which precedes the record.
///
/// ```text
/// format = 1: u8 │ nonce: u64 │ generation: u64 │ used at: u64 │ expires at: u64 │ birth: u32 │
/// record, see `Record::to_bytes`
/// ```
///
/// Numbers are little-endian, times are milliseconds since the Unix epoch. The nonce is drawn for each write: if a
/// write's outcome is unknown, the nonce shows which write stored the item. The birth is drawn at creation and kept by
/// updates. A lease names it, so the lease ends with the session that it was taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) nonce: u64,
    pub(super) generation: u64,
    pub(super) birth: u32,
    pub(super) usage: Usage,
}

impl Head {
    /// Creates the head of a new write.
    pub(super) fn new(origin: Origin, usage: Usage) -> Result<Self, StoreError> {
        let nonce = random()?;
        Ok(Self { nonce, generation: origin.generation, birth: origin.birth, usage })
    }

    /// The part of the head that updates keep.
    pub(super) fn origin(&self) -> Origin {
        Origin { generation: self.generation, birth: self.birth }
    }

    pub(super) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = FORMAT;
        let numbers = [
            self.nonce,
            self.generation,
            clock::to_millis(self.usage.used_at),
            clock::to_millis(self.usage.expires_at),
        ];
        bytes[HEAD_BYTES - 4..].copy_from_slice(&self.birth.to_le_bytes());
        for (slot, number) in bytes[1..HEAD_BYTES - 4].chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Splits an item's value into head and record.
    fn split(value: &[u8]) -> Result<(Self, &[u8]), StoreError> {
        let (head, record) = value.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| corrupt("it is cut off"))?;
        if head[0] != FORMAT {
            return Err(corrupt("its format is not 1, or another program wrote it"));
        }
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[1 + 8 * index..][..8]);
            u64::from_le_bytes(bytes)
        };
        let usage = Usage { used_at: clock::from_millis(number(2)), expires_at: clock::from_millis(number(3)) };
        let mut birth = [0; 4];
        birth.copy_from_slice(&head[HEAD_BYTES - 4..]);
        let birth = u32::from_le_bytes(birth);
        Ok((Self { nonce: number(0), generation: number(1), birth, usage }, record))
    }

    /// The version of the record that has this head and CAS value.
    pub(super) fn version(self, cas: Cas) -> Version {
        let mut bytes = [0; VERSION_BYTES];
        bytes[..8].copy_from_slice(&cas.number.to_be_bytes());
        bytes[8..15].copy_from_slice(&cas.incarnation.to_be_bytes()[1..]);
        bytes[15..23].copy_from_slice(&self.generation.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.birth.to_be_bytes());
        // Half of the nonce is enough, since a server gives each CAS value only once.
        bytes[27..].copy_from_slice(&self.nonce.to_be_bytes()[4..]);
        Version::from_bytes(&bytes).expect("31 bytes are a version")
    }
}

/// The length of a version: CAS value, incarnation (56 bits), generation, birth, and the lower half of the nonce.
const VERSION_BYTES: usize = 8 + 7 + 8 + 4 + 4;

/// The values that a record keeps from its creation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) generation: u64,
    pub(super) birth: u32,
}

impl Origin {
    /// Creates the origin of a new record.
    pub(super) fn new(generation: u64) -> Result<Self, StoreError> {
        let [a, b, c, d, ..] = random()?.to_le_bytes();
        Ok(Self { generation, birth: u32::from_le_bytes([a, b, c, d]) })
    }
}

/// Draws a random number, such as the nonce of a write.
pub(super) fn random() -> Result<u64, StoreError> {
    random_u64().map_err(|error| StoreError::new(StoreErrorKind::Other).because(error))
}

/// Returns the CAS value and origin in a version, or `None` if this store did not make the version.
pub(super) fn parts(version: &Version) -> Option<(Cas, Origin)> {
    let bytes: [u8; VERSION_BYTES] = version.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| bytes[from..to].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let cas = Cas { number: number(0, 8), incarnation: number(8, 15) };
    let birth = u32::try_from(number(23, 27)).ok()?;
    Some((cas, Origin { generation: number(15, 23), birth })).filter(|_| cas.number != 0)
}

/// A loaded record, with the head and CAS value of its item.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) stored: Stored,
    pub(super) head: Head,
    pub(super) cas: Cas,
}

impl Held {
    /// Decodes an item's value. `seconds_left` is the time left that memcached reported.
    pub(super) fn open(value: &[u8], cas: Cas, seconds_left: Option<i64>, now: SystemTime) -> Result<Self, StoreError> {
        let (head, record) = Head::split(value)?;
        let record =
            Record::from_bytes(record).map_err(|error| StoreError::new(StoreErrorKind::Corrupt).because(error))?;
        let (expires_at, shift) = expiry::moved(now, head.usage.expires_at, seconds_left);
        let used_at = match shift {
            expiry::Shift::None => head.usage.used_at,
            shift => shift.apply(head.usage.used_at).min(now),
        };
        let stored = Stored::new(Arc::new(record), head.version(cas), Usage { used_at, expires_at });
        Ok(Self { stored, head, cas })
    }
}

fn corrupt(why: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).because(format!("not an item of this store: {why}"))
}

/// Encodes a time in an epoch, an owner's list or a lease: milliseconds since the Unix epoch, little-endian.
pub(super) fn millis(time: SystemTime) -> [u8; 8] {
    clock::to_millis(time).to_le_bytes()
}

/// The inverse of [`millis`].
pub(super) fn from_millis(bytes: [u8; 8]) -> SystemTime {
    clock::from_millis(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::{id::TokenCheck, lifetime::Lifetime};

    fn record() -> Record {
        Record::session(TokenCheck::from_bytes([7; 16]), UNIX_EPOCH + Duration::from_secs(5), Lifetime::default())
    }

    fn head() -> Head {
        let usage = Usage::keep_for(UNIX_EPOCH + Duration::from_millis(1_800_000_000_123), Duration::from_secs(60));
        Head { nonce: 0x0102_0304_0506_0708, generation: 9, birth: 0x0a0b_0c0d, usage }
    }

    const CAS: Cas = Cas { number: 5, incarnation: 0x00c0_ffee_0bad_cafe };

    /// Items written by 0.1.0 must be read by every later version.
    #[test]
    fn frozen_vector() {
        let hex: String = head().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01080706050403020109000000000000007b505c18a3010000db3a5d18a30100000d0c0b0a");
    }

    #[test]
    fn no_record_is_smaller() {
        let tombstone = Record::plain_tombstone(TokenCheck::from_bytes([7; 16]), UNIX_EPOCH);
        for record in [record(), tombstone] {
            assert!(HEAD_BYTES + record.to_bytes().len() >= SMALLEST_RECORD);
        }
    }

    #[test]
    fn an_item_round_trips() {
        let value = [&head().to_bytes()[..], &record().to_bytes()].concat();
        let held = Held::open(&value, CAS, Some(60), head().usage.used_at).unwrap();
        assert_eq!((held.head, held.cas, &*held.stored.record), (head(), CAS, &record()));
        assert_eq!(parts(&held.stored.version), Some((CAS, head().origin())));
        assert_eq!(parts(&head().version(Cas { number: 0, ..CAS })), None);
        assert_eq!(parts(&Version::from_u64(5)), None);
    }

    #[test]
    fn a_malformed_item_is_corrupt() {
        let mut value = [&head().to_bytes()[..], &record().to_bytes()].concat();
        for cut in 0..value.len() {
            let error = Held::open(&value[..cut], CAS, None, UNIX_EPOCH).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        }
        value[0] = 2;
        assert!(Held::open(&value, CAS, None, UNIX_EPOCH).is_err());
    }

    proptest! {
        #[test]
        fn hostile_items_never_panic(value: Vec<u8>, left: Option<i64>) {
            let _ = Held::open(&value, CAS, left, UNIX_EPOCH);
            let value = [&head().to_bytes()[..], &value].concat();
            let _ = Held::open(&value, CAS, left, UNIX_EPOCH);
        }
    }
}
