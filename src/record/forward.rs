//! The tombstone that a login or a renewal leaves, with or without a forward to the renewed session.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Entries, Record, RecordError, RecordKind};
use crate::{
    clock,
    id::{EntropyError, SessionId, TokenCheck, fill_random},
    lifetime::{CookieLifetime, Lifetime},
};

/// The key of the entry that holds the forward.
const FORWARD: &str = "forward";
/// The key of the entry with the tombstone's random bytes.
const NONCE: &str = "nonce";

/// Bytes of the forward before the owner's name: the id, the time, and whether there is an owner.
const HEAD_BYTES: usize = 16 + 8 + 1;

/// Leads from a session's old id to the renewed session. It is stored in the tombstone at the old id.
///
/// Until `until`, a request with the old token is served the renewed session. Afterwards, and for as long as the
/// tombstone lives, the forward is used only to end the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The id of the renewed session.
    pub to: SessionId,
    /// When requests with the old token are no longer served.
    pub until: SystemTime,
    /// The session's owner at the renewal. The forward is not followed if the owner has changed since.
    pub owner: Option<Arc<str>>,
}

impl Record {
    /// Creates the tombstone of a session that got a new token at this time, with an optional forward to the session.
    ///
    /// Each tombstone has 16 random bytes, so no two are equal. A tombstone that is read back therefore shows which
    /// write stored it.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn tombstone(
        check: TokenCheck,
        at: SystemTime,
        life: Duration,
        forward: Option<&Forward>,
    ) -> Result<Self, EntropyError> {
        let mut nonce = [0; 16];
        fill_random(&mut nonce)?;
        let forward = forward.map(Forward::to_bytes);
        let forward = forward.as_ref().map(|bytes| (FORWARD, &**bytes));
        let entries = Entries::from_sorted(forward.into_iter().chain([(NONCE, &nonce[..])]));
        let millis = clock::duration_millis(life).max(1);
        let lifetime = Lifetime::from_millis(millis, millis, CookieLifetime::Browser);
        Ok(Self {
            kind: RecordKind::Tombstone,
            ..Self::session(check, at, lifetime)
                .with_entries(entries.expect("two short keys in order, and values of at most 1,049 bytes"))
        })
    }

    /// Returns the forward in this tombstone, or `None` if there is none or the record is not a tombstone.
    ///
    /// # Errors
    ///
    /// If the forward is damaged.
    pub fn forward(&self) -> Result<Option<Forward>, RecordError> {
        match self.entries().get(FORWARD) {
            Some(bytes) if self.kind == RecordKind::Tombstone => Forward::from_bytes(bytes).map(Some),
            _ => Ok(None),
        }
    }
}

impl Forward {
    /// ```text
    /// id: 16 bytes │ until: u64, milliseconds since the Unix epoch, little-endian │ 1 and the owner's name, or 0
    /// ```
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.owner.as_ref().map_or(0, |owner| owner.len()));
        bytes.extend(self.to.as_bytes());
        bytes.extend(clock::to_millis(self.until).to_le_bytes());
        bytes.push(u8::from(self.owner.is_some()));
        bytes.extend(self.owner.as_deref().unwrap_or_default().as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        const WRONG: RecordError = RecordError::new("its forward is damaged");
        let (head, name) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(WRONG)?;
        let (id, rest) = head.split_first_chunk::<16>().ok_or(WRONG)?;
        let (until, has_owner) = rest.split_first_chunk::<8>().ok_or(WRONG)?;
        let owner = match has_owner {
            [0] if name.is_empty() => None,
            [1] if !name.is_empty() => Some(std::str::from_utf8(name).map_err(|_| WRONG)?.into()),
            _ => return Err(WRONG),
        };
        Ok(Self {
            to: SessionId::from_uuid(uuid::Uuid::from_bytes(*id)),
            until: clock::from_millis(u64::from_le_bytes(*until)),
            owner,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn forward(owner: Option<&str>) -> Forward {
        let until = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        Forward { to: SessionId::for_epoch("x"), until, owner: owner.map(Into::into) }
    }

    fn tombstone(forward: Option<&Forward>) -> Record {
        Record::tombstone(TokenCheck::from_bytes([9; 16]), UNIX_EPOCH, Duration::from_secs(90), forward).unwrap()
    }

    #[test]
    fn a_forward_round_trips_through_the_wire_form() {
        for forward in [forward(None), forward(Some("bob")), forward(Some(&"o".repeat(1_024)))] {
            let record = Record::from_bytes(&tombstone(Some(&forward)).to_bytes()).unwrap();
            assert_eq!(record.forward().unwrap(), Some(forward));
        }
        assert_eq!(tombstone(None).forward().unwrap(), None);
        assert_eq!(Record::plain_tombstone(TokenCheck::from_bytes([9; 16]), UNIX_EPOCH).forward().unwrap(), None);
    }

    #[test]
    fn no_two_tombstones_are_equal() {
        assert_ne!(tombstone(None), tombstone(None));
    }

    #[test]
    fn a_damaged_forward_is_an_error_and_a_sessions_entry_is_none() {
        let good = forward(Some("bob")).to_bytes();
        let with = |bytes: &[u8], kind| {
            let entries = Entries::from_sorted([(FORWARD, bytes)].into_iter()).unwrap();
            tombstone(None).with_entries(entries).with_kind(kind).forward()
        };
        for cut in 0..HEAD_BYTES {
            assert!(with(&good[..cut], RecordKind::Tombstone).is_err(), "cut at {cut}");
        }
        assert!(with(&[&good[..24], &[2]].concat(), RecordKind::Tombstone).is_err());
        assert!(with(&[&good[..24], &[0], b"x"].concat(), RecordKind::Tombstone).is_err());
        assert!(with(&[&good[..24], &[1, 0xff]].concat(), RecordKind::Tombstone).is_err());
        assert_eq!(with(&good, RecordKind::Session), Ok(None));
    }
}
