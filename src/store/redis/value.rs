//! The form of a stored value: a head that scripts can read, then the record.

use std::sync::Arc;

use crate::{
    clock,
    id::{EntropyError, SessionId, fill_random},
    record::{Epoch, Record},
    store::{Holder, OwnerEpoch, StoreError, StoreErrorKind, Stored, Usage, Version},
};

/// The form that this version writes.
const FORMAT: u8 = 1;

/// ```text
/// format = 1: u8 │ is a session: u8 │ nonce: 16 bytes │ generation: u64 │ used at: u64 │ expires at: u64 │ limit: u64 │
/// owner: 16 bytes │ holder of the lease: 16 bytes │ until: u64 │ record, see `Record::to_bytes`
/// ```
///
/// Numbers are big-endian, times are milliseconds since the Unix epoch. Without an owner or a lease, there are zeros.
/// `scripts/head.lua` reads the same.
const HEAD_BYTES: usize = 90;

/// Where the part after the generation begins.
const USED: usize = 26;
const HOLDER: usize = 66;

/// 16 random bytes, drawn for each write: they tell which write stored a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonce([u8; 16]);

impl Nonce {
    pub(super) fn random() -> Result<Self, EntropyError> {
        let mut bytes = [0; 16];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One state of a record: its nonce, and the generation that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) nonce: Nonce,
    pub(super) generation: u64,
}

impl State {
    pub(super) fn version(self) -> Version {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.nonce.0);
        bytes[16..].copy_from_slice(&self.generation.to_be_bytes());
        Version::from_bytes(&bytes).expect("24 bytes are a version")
    }

    /// `None` if the version is none of this store's.
    pub(super) fn of(version: &Version) -> Option<Self> {
        let (nonce, generation) = version.as_bytes().split_first_chunk::<16>()?;
        Some(Self { nonce: Nonce(*nonce), generation: u64::from_be_bytes(generation.try_into().ok()?) })
    }
}

/// What is written of a record, in the parts that a script puts together.
pub(super) struct Written {
    /// Format to nonce.
    pub(super) front: [u8; 18],
    /// Last use to the end of the head.
    pub(super) back: [u8; HEAD_BYTES - USED],
    pub(super) record: Vec<u8>,
    /// In milliseconds since the Unix epoch, as Redis reads it.
    pub(super) expiry: String,
    /// The record's absolute limit, likewise.
    pub(super) limit: String,
}

impl Written {
    pub(super) fn new(nonce: Nonce, record: &Record, usage: Usage) -> Self {
        let mut front = [FORMAT; 18];
        front[1] = u8::from(record.is_session());
        front[2..].copy_from_slice(&nonce.0);
        let limit = clock::to_millis(record.absolute_limit());
        let expires = usage.expires_millis().min(limit);
        let mut back = [0; HEAD_BYTES - USED];
        back[..8].copy_from_slice(&usage.used_millis().to_be_bytes());
        back[8..16].copy_from_slice(&expires.to_be_bytes());
        back[16..24].copy_from_slice(&limit.to_be_bytes());
        if let Some(owner) = record.owner() {
            back[24..40].copy_from_slice(SessionId::for_epoch(owner.name()).as_bytes());
        }
        // Redis refuses a time of 0.
        let (expiry, limit) = (expires.max(1).to_string(), limit.max(1).to_string());
        Self { front, back, record: record.to_bytes(), expiry, limit }
    }

    /// How many bytes the value of a record takes.
    pub(super) fn size(record: &Record) -> usize {
        HEAD_BYTES + record.encoded_len()
    }
}

/// A value's head, as far as it is not the script's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) state: State,
    pub(super) usage: Usage,
    /// The lease, which may be over.
    pub(super) lease: Option<(Holder, u64)>,
}

impl Head {
    /// `None` if the bytes begin with no head.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk().filter(|head| head[0] == FORMAT)?;
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&head[at..at + 8]);
            u64::from_be_bytes(number)
        };
        let array = |at: usize| {
            let mut array = [0; 16];
            array.copy_from_slice(&head[at..at + 16]);
            array
        };
        let until = number(HOLDER + 16);
        Some(Self {
            state: State { nonce: Nonce(array(2)), generation: number(18) },
            usage: Usage::from_millis(number(USED), number(USED + 8)),
            lease: (until > 0).then(|| (Holder::from_u128(u128::from_be_bytes(array(HOLDER))), until)),
        })
    }
}

/// A value that was read.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) head: Head,
    pub(super) stored: Stored,
}

impl Held {
    pub(super) fn read(bytes: &[u8], epoch: OwnerEpoch) -> Result<Self, StoreError> {
        let head = Head::read(bytes).ok_or_else(|| damaged("its head is of no form that this version reads"))?;
        let record = Record::from_bytes(&bytes[HEAD_BYTES..]).map_err(damaged)?;
        let stored = Stored::new(Arc::new(record), head.state.version(), head.usage).with_owner_epoch(epoch);
        Ok(Self { head, stored })
    }
}

/// The error for bytes that are no record.
pub(super) fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).because(why)
}

/// What a script says of the owner's epoch, and the value after it.
pub(super) fn split_epoch(told: &[u8]) -> Option<(OwnerEpoch, &[u8])> {
    match told.split_first()? {
        (b'n', value) => Some((OwnerEpoch::NotAsked, value)),
        (b'a', value) => Some((OwnerEpoch::Absent, value)),
        (b'p', rest) => {
            let (epoch, value) = rest.split_first_chunk::<8>()?;
            Some((OwnerEpoch::Present(Epoch::from_u64(u64::from_be_bytes(*epoch))), value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        id::TokenCheck,
        lifetime::Lifetime,
        record::{Epoch, Owner},
    };

    fn record() -> Record {
        let created = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let lifetime = Lifetime::new(Duration::from_secs(600), Duration::from_secs(3_600)).unwrap();
        let owner = Owner::new("alice", Epoch::from_u64(5)).unwrap();
        Record::session(TokenCheck::from_bytes([7; 16]), created, lifetime).with_owner(Some(owner))
    }

    fn whole(written: &Written, generation: u64) -> Vec<u8> {
        [&written.front[..], &generation.to_be_bytes(), &written.back, &written.record].concat()
    }

    /// Values written by 0.1.0 must be read by every later version.
    #[test]
    fn frozen_vector() {
        let usage = Usage::from_millis(1_800_000_001_000, 1_800_000_601_000);
        let bytes = whole(&Written::new(Nonce([9; 16]), &record(), usage), 0x0102);
        let hex: String = bytes[..HEAD_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "010109090909090909090909090909090909\
             0000000000000102000001a3185c53e8000001a318657ba8000001a318933efb\
             928a45b69b818a3a8878229e446bad14000000000000000000000000000000000000000000000000"
        );
        let held = Held::read(&bytes, OwnerEpoch::NotAsked).unwrap();
        assert_eq!(*held.stored.record, record());
        assert_eq!(held.stored.usage(), usage);
        assert_eq!(State::of(&held.stored.version), Some(State { nonce: Nonce([9; 16]), generation: 0x0102 }));
        assert_eq!(held.head.lease, None);
    }

    #[test]
    fn the_limit_caps_the_expiry() {
        let usage = Usage::from_millis(1_800_000_001_000, u64::MAX);
        let written = Written::new(Nonce([9; 16]), &record(), usage);
        assert_eq!(written.expiry, "1800003600123");
        assert_eq!(written.limit, written.expiry);
        assert_eq!(Written::size(&record()), whole(&written, 0).len());
        assert_eq!(&written.back[50 - USED..HOLDER - USED], SessionId::for_epoch("alice").as_bytes());
    }

    proptest! {
        #[test]
        fn hostile_values_never_panic(bytes: Vec<u8>, cut in 0..200usize) {
            let _ = Held::read(&bytes, OwnerEpoch::NotAsked);
            let _ = split_epoch(&bytes);
            let usage = Usage::from_millis(1, 2);
            let mut value = whole(&Written::new(Nonce([9; 16]), &record(), usage), 3);
            value.truncate(cut);
            value.extend(bytes);
            let _ = Held::read(&value, OwnerEpoch::NotAsked);
        }
    }
}
