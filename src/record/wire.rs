//! The documented, versioned form of a record as bytes.

use super::{Entries, Epoch, Owner, Record, RecordError, RecordKind};
use crate::{
    clock,
    id::TokenCheck,
    lifetime::{CookieLifetime, Lifetime},
};

/// The version that is written. Every later release reads it.
const VERSION: u8 = 1;

const PERSISTENT: u8 = 0b01;
const HAS_OWNER: u8 = 0b10;

/// Bytes up to the owner: version, kind, flags, three times, check.
pub(crate) const HEAD_BYTES: usize = 3 + 3 * 8 + 16;

/// Bytes before the name of the owner, if there is one: epoch, length.
pub(crate) const OWNER_HEAD_BYTES: usize = 8 + 2;

const CUT_OFF: RecordError = RecordError::new("it is cut off");

impl Record {
    /// Returns the record as bytes, for a store that keeps bytes.
    ///
    /// ```text
    /// version = 1: u8 │ kind: u8 │ flags: u8 │ created: u64 │ idle: u64 │ absolute: u64 │ check: 16 bytes │
    /// with flag 2: epoch: u64 │ length: u16 │ owner's name │
    /// entries to the end, see `Entries`
    /// ```
    ///
    /// Numbers are little-endian, times are milliseconds (`created` since the Unix epoch). Kinds: 0 session, 1
    /// tombstone, 2 epoch, 3 sealed. Flags: 1 persistent cookie, 2 owner. There is no checksum: a store on a medium
    /// that can corrupt data adds its own.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.write_to(&mut bytes);
        bytes
    }

    /// Appends what [`to_bytes`](Self::to_bytes) returns, for a store that puts something in front of it.
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        let mut flags = 0;
        if self.lifetime.cookie() == CookieLifetime::Persistent {
            flags |= PERSISTENT;
        }
        if self.owner.is_some() {
            flags |= HAS_OWNER;
        }
        bytes.extend([VERSION, kind_to_byte(self.kind), flags]);
        bytes.extend(self.created_millis.to_le_bytes());
        bytes.extend(clock::duration_millis(self.lifetime.idle()).to_le_bytes());
        bytes.extend(clock::duration_millis(self.lifetime.absolute()).to_le_bytes());
        bytes.extend(self.check.to_bytes());
        if let Some(owner) = &self.owner {
            bytes.extend(owner.epoch().to_u64().to_le_bytes());
            // `Owner::new` allows at most 1,024 bytes.
            bytes.extend(u16::try_from(owner.name().len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(owner.name().as_bytes());
        }
        bytes.extend(self.entries.as_bytes());
    }

    /// The number of bytes that [`to_bytes`](Self::to_bytes) returns.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let owner = self.owner.as_ref().map_or(0, |owner| OWNER_HEAD_BYTES + owner.name().len());
        HEAD_BYTES + owner + self.entries.as_bytes().len()
    }

    /// Reads the form that [`to_bytes`](Self::to_bytes) of this or an earlier version wrote. Any other bytes are an
    /// error, and never cause a panic.
    ///
    /// # Errors
    ///
    /// If the bytes are cut off, of a later version, or inconsistent.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut rest = bytes;
        let [version, kind, flags] = take(&mut rest)?;
        if version != VERSION {
            return Err(RecordError::new("its version is not 1"));
        }
        let kind = kind_from_byte(kind).ok_or(RecordError::new("its kind is unknown"))?;
        if flags & !(PERSISTENT | HAS_OWNER) != 0 {
            return Err(RecordError::new("it has unknown flags"));
        }
        let cookie = if flags & PERSISTENT == 0 { CookieLifetime::Browser } else { CookieLifetime::Persistent };
        let created_millis = take_millis(&mut rest)?;
        let idle = take_millis(&mut rest)?;
        let absolute = take_millis(&mut rest)?;
        if idle == 0 || absolute == 0 {
            return Err(RecordError::new("its lifetime is zero"));
        }
        let check = TokenCheck::from_bytes(take(&mut rest)?);
        let owner = if flags & HAS_OWNER == 0 { None } else { Some(take_owner(&mut rest)?) };
        let entries = Entries::from_bytes(rest)?;
        Ok(Self {
            kind,
            created_millis,
            lifetime: Lifetime::from_millis(idle, absolute, cookie),
            check,
            owner,
            entries,
        })
    }
}

fn kind_to_byte(kind: RecordKind) -> u8 {
    match kind {
        RecordKind::Session => 0,
        RecordKind::Tombstone => 1,
        RecordKind::Epoch => 2,
        RecordKind::Sealed => 3,
    }
}

fn kind_from_byte(byte: u8) -> Option<RecordKind> {
    [RecordKind::Session, RecordKind::Tombstone, RecordKind::Epoch, RecordKind::Sealed].get(usize::from(byte)).copied()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (head, tail) = rest.split_first_chunk().ok_or(CUT_OFF)?;
    *rest = tail;
    Ok(*head)
}

/// Reads a time or duration. This crate never writes one beyond the year 9999.
fn take_millis(rest: &mut &[u8]) -> Result<u64, RecordError> {
    let millis = u64::from_le_bytes(take(rest)?);
    if millis <= clock::LAST_MILLIS { Ok(millis) } else { Err(RecordError::new("one of its times is out of range")) }
}

fn take_owner(rest: &mut &[u8]) -> Result<Owner, RecordError> {
    let epoch = Epoch::from_u64(u64::from_le_bytes(take(rest)?));
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    let (name, tail) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
    *rest = tail;
    let name = std::str::from_utf8(name).map_err(|_| RecordError::new("its owner is not UTF-8"))?;
    Owner::new(name, epoch).map_err(|_| RecordError::new("its owner's name is empty or too long"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn reference() -> Record {
        let created = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let lifetime = Lifetime::new(Duration::from_secs(3_600), Duration::from_secs(86_400)).unwrap().persistent();
        let pairs = [("n", &b"\x0142"[..]), ("user", &b"\x01\"bob\""[..])];
        Record::session(TokenCheck::from_bytes(*b"0123456789abcdef"), created, lifetime)
            .with_owner(Some(Owner::new("bob@example.org", Epoch::from_u64(7)).unwrap()))
            .with_entries(Entries::from_sorted(pairs.into_iter()).unwrap())
    }

    /// Bytes that 0.1.0 wrote must be readable by every later version.
    #[test]
    fn frozen_vectors() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(&reference().to_bytes()),
            "0100037b505c18a301000080ee360000000000005c2605000000003031323334353637383961626364656607000000000000000f00626f62406578616d706c652e6f7267020000000500000010000000016e01343204757365720122626f6222"
        );
        let tombstone = Record::plain_tombstone(TokenCheck::from_bytes([9; 16]), UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(
            hex(&tombstone.to_bytes()),
            "010100e80300000000000060ea00000000000060ea00000000000009090909090909090909090909090909"
        );
    }

    #[test]
    fn every_kind_round_trips() {
        for kind in [RecordKind::Session, RecordKind::Tombstone, RecordKind::Epoch, RecordKind::Sealed] {
            let record = reference().with_kind(kind);
            let bytes = record.to_bytes();
            assert_eq!(bytes.len(), record.encoded_len());
            assert_eq!(Record::from_bytes(&bytes), Ok(record));
        }
    }

    #[test]
    fn cut_off_or_longer_is_an_error() {
        let bytes = reference().to_bytes();
        for cut in (0..bytes.len()).filter(|&cut| cut != HEAD_BYTES + 8 + 2 + 15) {
            assert!(Record::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Record::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn another_version_is_an_error_that_says_so() {
        let mut bytes = reference().to_bytes();
        bytes[0] = 2;
        assert_eq!(Record::from_bytes(&bytes).unwrap_err().to_string(), "not a record: its version is not 1");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(record) = Record::from_bytes(&bytes) {
                prop_assert_eq!(record.to_bytes(), bytes);
            }
        }

        #[test]
        fn a_changed_byte_never_reads_as_the_same(at: proptest::sample::Index, xor in 1u8..) {
            let record = reference();
            let mut bytes = record.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= xor;
            if let Ok(other) = Record::from_bytes(&bytes) {
                prop_assert_ne!(&other, &record);
                prop_assert_eq!(other.to_bytes(), bytes);
            }
        }
    }
}
