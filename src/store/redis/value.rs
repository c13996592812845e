//! The format of a stored value: a head that scripts can read, then the record.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    clock,
    id::{EntropyError, SessionId, fill_random},
    record::{Epoch, Record},
    store::{Holder, OwnerEpoch, StoreError, StoreErrorKind, Stored, Usage, Version},
};

/// The version of the format.
const FORMAT: u8 = 1;

/// ```text
/// format = 1: u8 │ is a session: u8 │ nonce: 16 bytes │ generation: u64 │ used at: u64 │ expires at: u64 │ limit: u64 │
/// owner: 16 bytes │ holder of the lease: 16 bytes │ until: u64 │ record, see `Record::to_bytes`
/// ```
///
/// Numbers are big-endian. Times are in milliseconds since the Unix epoch. A missing owner or lease is all zeros.
/// `scripts/head.lua` reads the same format.
const HEAD_BYTES: usize = 90;

/// The first and the last byte of the part of the head that identifies a state: the nonce, the generation, the last use
/// and the expiry.
pub(super) const STATE_RANGE: (u8, u8) = (2, 41);

/// The offset of the part after the generation.
const USED: usize = 26;
const OWNER: usize = 50;
const HOLDER: usize = 66;

/// 16 random bytes, drawn for each write, that identify the write that stored a value.
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

/// One state of a record: its nonce, and its generation.
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

    /// Returns `None` if the version is not one of this store's.
    pub(super) fn of(version: &Version) -> Option<Self> {
        let (nonce, generation) = version.as_bytes().split_first_chunk::<16>()?;
        Some(Self { nonce: Nonce(*nonce), generation: u64::from_be_bytes(generation.try_into().ok()?) })
    }
}

/// A record, ready to be written.
pub(super) struct Written {
    pub(super) nonce: Nonce,
    /// The whole value, without a lease.
    pub(super) value: Vec<u8>,
    /// The expiry in milliseconds since the Unix epoch, as a Redis argument.
    pub(super) expiry: String,
    /// The record's absolute limit, in the same form.
    pub(super) limit: String,
    /// The owner's id.
    pub(super) owner: Option<SessionId>,
}

impl Written {
    pub(super) fn new(state: State, record: &Record, usage: Usage) -> Self {
        let limit = clock::to_millis(record.absolute_limit());
        let expires = usage.expires_millis().min(limit);
        let mut value = Vec::with_capacity(Self::size(record));
        value.extend([FORMAT, u8::from(record.is_session())]);
        value.extend(state.nonce.0);
        for number in [state.generation, usage.used_millis(), expires, limit] {
            value.extend(number.to_be_bytes());
        }
        let owner = record.owner().map(|owner| SessionId::for_epoch(owner.name()));
        if let Some(owner) = &owner {
            value.extend(owner.as_bytes());
        }
        value.resize(HEAD_BYTES, 0);
        record.write_to(&mut value);
        // Redis refuses an expiry of 0.
        Self { nonce: state.nonce, value, expiry: expires.max(1).to_string(), limit: limit.max(1).to_string(), owner }
    }

    /// Whether these bytes, read from [`STATE_RANGE`], are those of this value. The script may have stored it in another
    /// generation.
    pub(super) fn is_state(&self, read: &[u8]) -> bool {
        let ours = &self.value[usize::from(STATE_RANGE.0)..=usize::from(STATE_RANGE.1)];
        read.len() == ours.len() && read[..16] == ours[..16] && read[24..] == ours[24..]
    }

    /// The size of a record's value, in bytes.
    pub(super) fn size(record: &Record) -> usize {
        HEAD_BYTES + record.encoded_len()
    }
}

/// A value's head, except for the parts that only scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) state: State,
    pub(super) usage: Usage,
    /// The owner's id.
    pub(super) owner: Option<SessionId>,
    /// The lease, which may have expired.
    pub(super) lease: Option<(Holder, u64)>,
}

impl Head {
    /// Returns `None` if the bytes don't begin with a head.
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
        let (owner, until) = (array(OWNER), number(HOLDER + 16));
        Some(Self {
            state: State { nonce: Nonce(array(2)), generation: number(18) },
            usage: Usage::from_millis(number(USED), number(USED + 8)),
            owner: (owner != [0; 16]).then(|| SessionId::from_uuid(Uuid::from_bytes(owner))),
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
        let head = Head::read(bytes).ok_or_else(|| damaged("its head has a format that this version can't read"))?;
        let record = Record::from_bytes(&bytes[HEAD_BYTES..]).map_err(damaged)?;
        let stored = Stored::new(Arc::new(record), head.state.version(), head.usage).with_owner_epoch(epoch);
        Ok(Self { head, stored })
    }
}

/// The error for bytes that are not a record.
pub(super) fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt).because(why)
}

/// Reads the part of a script's reply about the owner's epoch, after the letter.
pub(super) fn read_epoch(told: &[u8]) -> Option<OwnerEpoch> {
    match told {
        [b'n'] => Some(OwnerEpoch::NotAsked),
        [b'a'] => Some(OwnerEpoch::Absent),
        [b'p', epoch @ ..] => Some(present(*epoch.first_chunk().filter(|_| epoch.len() == 8)?)),
        _ => None,
    }
}

/// Reads the value under an owner's epoch key. Returns the epoch and its expiry in milliseconds, if the epoch is of
/// this generation or later and has not expired at `now`. `epoch_of` in `scripts/head.lua` does the same.
pub(super) fn read_epoch_value(value: &[u8], generation: u64, now: u64) -> Option<(Epoch, u64)> {
    let Ok([1, rest @ ..]) = <&[u8; 25]>::try_from(value) else { return None };
    let [epoch, stamp, until] =
        [0, 8, 16].map(|at| u64::from_be_bytes(rest[at..at + 8].try_into().unwrap_or_default()));
    (until > now && stamp >= generation).then(|| (Epoch::from_u64(epoch), until))
}

fn present(epoch: [u8; 8]) -> OwnerEpoch {
    OwnerEpoch::Present(Epoch::from_u64(u64::from_be_bytes(epoch)))
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

    fn state(generation: u64) -> State {
        State { nonce: Nonce([9; 16]), generation }
    }

    /// Every later version must be able to read values that 0.1.0 wrote.
    #[test]
    fn frozen_vector() {
        let usage = Usage::from_millis(1_800_000_001_000, 1_800_000_601_000);
        let bytes = Written::new(state(0x0102), &record(), usage).value;
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
        assert_eq!(State::of(&held.stored.version), Some(state(0x0102)));
        assert_eq!((held.head.owner, held.head.lease), (Some(SessionId::for_epoch("alice")), None));
    }

    #[test]
    fn the_limit_caps_the_expiry() {
        let usage = Usage::from_millis(1_800_000_001_000, u64::MAX);
        let written = Written::new(state(0), &record(), usage);
        assert_eq!(written.expiry, "1800003600123");
        assert_eq!(written.limit, written.expiry);
        assert_eq!(Written::size(&record()), written.value.len());
        assert_eq!(&written.value[OWNER..HOLDER], SessionId::for_epoch("alice").as_bytes());
    }

    #[test]
    fn an_epoch_counts_until_it_expires_or_all_is_cleared() {
        let value = [&[1][..], &7u64.to_be_bytes(), &3u64.to_be_bytes(), &1_000u64.to_be_bytes()].concat();
        assert_eq!(read_epoch_value(&value, 3, 999), Some((Epoch::from_u64(7), 1_000)));
        assert_eq!(read_epoch_value(&value, 3, 1_000), None);
        assert_eq!(read_epoch_value(&value, 4, 999), None);
        assert_eq!(read_epoch_value(&value[..24], 3, 999), None);
        assert_eq!(read_epoch(b"p\0\0\0\0\0\0\0\x07"), Some(OwnerEpoch::Present(Epoch::from_u64(7))));
        assert_eq!(
            [&b"a"[..], b"n", b"p", b"nn"].map(read_epoch),
            [Some(OwnerEpoch::Absent), Some(OwnerEpoch::NotAsked), None, None]
        );
    }

    proptest! {
        #[test]
        fn hostile_values_never_panic(bytes: Vec<u8>, cut in 0..200usize) {
            let _ = Held::read(&bytes, OwnerEpoch::NotAsked);
            let _ = read_epoch(&bytes);
            let _ = read_epoch_value(&bytes, 1, 2);
            let usage = Usage::from_millis(1, 2);
            let mut value = Written::new(state(3), &record(), usage).value;
            value.truncate(cut);
            value.extend(bytes);
            let _ = Held::read(&value, OwnerEpoch::NotAsked);
        }
    }
}
