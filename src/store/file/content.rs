//! The content of a session's file: a header of fixed size and the encoded record.

use crate::{
    clock,
    id::{EntropyError, SessionId},
    record::Record,
    store::{Usage, Version},
};

/// The first eight bytes of a file: seven that identify it as a session's file, and the version of the format. Every
/// later version reads this format.
const MAGIC: &[u8; 8] = b"seslayr\x01";

/// The length of the header, in bytes.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 16 + 16 + 3 * 8 + 16 + 16 + 8;

/// The offset of the checksum, and that of the first byte that it covers.
const CHECKSUM_AT: usize = 8;
const COVERED_FROM: usize = CHECKSUM_AT + 4;

/// The largest file that is written or accepted, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The header of a session's file. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of this version. It grows, so no two versions of one session have the same number.
    serial: u64,
    /// Random, drawn for each version. So no version is equal to one of an earlier session with the same id.
    nonce: u64,
    /// The last use when this was written. The current one is the file's access time.
    pub(super) used: u64,
    /// The expiry when this was written. The current one is the file's modification time.
    pub(super) expires: u64,
    /// The record's absolute limit. No touch moves the expiry beyond it.
    pub(super) limit: u64,
    /// The hash of the owner's name, if the record is a session with an owner.
    pub(super) owner: Option<SessionId>,
    /// The lease on the session, if there is one. It may have expired.
    pub(super) lease: Option<Lease>,
}

/// A lease. It ends at `until`, or when its holder releases it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) holder: u128,
    pub(super) until: u64,
}

impl Header {
    /// Creates the header of a new record.
    pub(super) fn first(record: &Record, usage: Usage) -> Result<Self, EntropyError> {
        let limit = clock::to_millis(record.absolute_limit());
        Ok(Self {
            serial: 1,
            nonce: crate::id::random_u64()?,
            used: clock::to_millis(usage.used_at),
            expires: clock::to_millis(usage.expires_at).min(limit),
            limit,
            owner: record.owner().filter(|_| record.is_session()).map(|owner| SessionId::for_epoch(owner.name())),
            lease: None,
        })
    }

    /// Creates the header of the next version. The lease stays.
    pub(super) fn next(&self, record: &Record, usage: Usage) -> Result<Self, EntropyError> {
        Ok(Self { lease: self.lease, serial: self.serial.wrapping_add(1), ..Self::first(record, usage)? })
    }

    /// Returns the same header with a new version.
    pub(super) fn renumbered(self) -> Result<Self, EntropyError> {
        Ok(Self { serial: self.serial.wrapping_add(1), nonce: crate::id::random_u64()?, ..self })
    }

    pub(super) fn with_usage(self, used: u64, expires: u64) -> Self {
        Self { used, expires, ..self }
    }

    pub(super) fn with_lease(self, lease: Option<Lease>) -> Self {
        Self { lease, ..self }
    }

    pub(super) fn version(&self) -> Version {
        let number = u128::from(self.serial) << 64 | u128::from(self.nonce);
        Version::from_bytes(&number.to_be_bytes()).expect("16 bytes are fewer than 31")
    }

    /// Returns the lease, if it has not expired at `now`.
    pub(super) fn lease_at(&self, now: u64) -> Option<Lease> {
        self.lease.filter(|lease| now < lease.until)
    }
}

/// Encodes a session's file.
///
/// ```text
/// "seslayr" │ form = 1: u8 │ CRC-32 of all that follows: u32 │ id: 16 bytes │ serial: u64 │ nonce: u64 │
/// used: u64 │ expires: u64 │ limit: u64 │ owner's hash or zeros: 16 bytes │ lease's holder: u128 │ lease's end: u64 │
/// the record, see `Record::to_bytes`
/// ```
///
/// Numbers are little-endian, times are milliseconds since the Unix epoch. A lease's end of 0 means that there is no
/// lease. The file contains its id, so a copy under another session's name is not accepted as that session.
pub(super) fn encode(id: &SessionId, header: &Header, record: &[u8]) -> Vec<u8> {
    let lease = header.lease.unwrap_or(Lease { holder: 0, until: 0 });
    let mut bytes = Vec::with_capacity(HEADER_BYTES + record.len());
    bytes.extend(MAGIC);
    bytes.extend([0; 4]);
    bytes.extend(id.as_bytes());
    for number in [header.serial, header.nonce, header.used, header.expires, header.limit] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(header.owner.as_ref().map_or(&[0; 16], SessionId::as_bytes));
    bytes.extend(lease.holder.to_le_bytes());
    bytes.extend(lease.until.to_le_bytes());
    bytes.extend(record);
    let checksum = crc32fast::hash(&bytes[COVERED_FROM..]).to_le_bytes();
    bytes[CHECKSUM_AT..COVERED_FROM].copy_from_slice(&checksum);
    bytes
}

/// Decodes what [`encode`] of this or an earlier version wrote under this id. Otherwise returns what is wrong.
pub(super) fn decode<'a>(id: &SessionId, bytes: &'a [u8]) -> Result<(Header, &'a [u8]), &'static str> {
    let header = read_header(bytes)?;
    if crc32fast::hash(&bytes[COVERED_FROM..]).to_le_bytes() != bytes[CHECKSUM_AT..COVERED_FROM] {
        return Err("its checksum is wrong");
    }
    if bytes[COVERED_FROM..][..16] != *id.as_bytes() {
        return Err("it is the file of another session");
    }
    Ok((header, &bytes[HEADER_BYTES..]))
}

/// Decodes the header alone, without verifying the checksum.
pub(super) fn read_header(bytes: &[u8]) -> Result<Header, &'static str> {
    if bytes.is_empty() {
        return Err("it is empty");
    }
    if bytes.len() < HEADER_BYTES {
        return Err("it is cut off");
    }
    if bytes[..7] != MAGIC[..7] {
        return Err("it is not a session's file");
    }
    if bytes[7] != MAGIC[7] {
        return Err("it is of a later version");
    }
    let mut rest = &bytes[COVERED_FROM + 16..HEADER_BYTES];
    let mut number = || take(&mut rest).map(u64::from_le_bytes);
    let (serial, nonce) = (number()?, number()?);
    let (used, expires, limit) = (number()?, number()?, number()?);
    let owner = take::<16>(&mut rest)?;
    let holder = u128::from_le_bytes(take(&mut rest)?);
    let until = u64::from_le_bytes(take(&mut rest)?);
    Ok(Header {
        serial,
        nonce,
        used,
        expires,
        limit,
        owner: (owner != [0; 16]).then(|| SessionId::from_uuid(uuid::Uuid::from_bytes(owner))),
        lease: (until != 0).then_some(Lease { holder, until }),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (head, tail) = rest.split_first_chunk().ok_or("it is cut off")?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference() -> (SessionId, Header) {
        let header = Header {
            serial: 3,
            nonce: 0x0123_4567_89ab_cdef,
            used: 1_800_000_000_123,
            expires: 1_800_003_600_123,
            limit: 1_800_086_400_123,
            owner: Some(SessionId::for_epoch("alice")),
            lease: Some(Lease { holder: 7, until: 1_800_000_030_000 }),
        };
        (SessionId::for_epoch("x"), header)
    }

    /// Files written by 0.1.0 must be read by every later version.
    #[test]
    fn frozen_vector() {
        let (id, header) = reference();
        let bytes = encode(&id, &header, b"record");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "7365736c617972012d305346ed274ab9214f8417b275490606a24f480300000000000000efcdab89674523017b505c18a3010000fb3e9318a30100007bac821da3010000928a45b69b818a3a8878229e446bad140700000000000000000000000000000030c55c18a30100007265636f7264"
        );
        assert_eq!(decode(&id, &bytes), Ok((header, &b"record"[..])));
    }

    #[test]
    fn without_owner_and_lease() {
        let (id, mut header) = reference();
        (header.owner, header.lease) = (None, None);
        assert_eq!(decode(&id, &encode(&id, &header, b"")), Ok((header, &b""[..])));
    }

    #[test]
    fn damage_is_named() {
        let (id, header) = reference();
        let whole = encode(&id, &header, b"record");
        let with = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        assert_eq!(decode(&id, b""), Err("it is empty"));
        assert_eq!(decode(&id, &whole[..HEADER_BYTES - 1]), Err("it is cut off"));
        assert_eq!(decode(&id, &whole[..HEADER_BYTES]), Err("its checksum is wrong"));
        assert_eq!(decode(&id, &with(0, b'S')), Err("it is not a session's file"));
        assert_eq!(decode(&id, &with(7, 2)), Err("it is of a later version"));
        assert_eq!(decode(&id, &with(HEADER_BYTES, b'R')), Err("its checksum is wrong"));
        assert_eq!(decode(&SessionId::for_epoch("y"), &whole), Err("it is the file of another session"));
    }

    #[test]
    fn no_state_has_the_version_of_another() {
        let (_, header) = reference();
        let next = header.renumbered().unwrap();
        assert_ne!(next.version(), header.version());
        assert_eq!(next.version().as_bytes().len(), 16);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(decode(&reference().0, &bytes).is_err());
        }

        /// A CRC detects every change of one byte.
        #[test]
        fn every_changed_byte_is_found(at: proptest::sample::Index, xor in 1u8..) {
            let (id, header) = reference();
            let mut bytes = encode(&id, &header, b"record");
            let at = at.index(bytes.len());
            bytes[at] ^= xor;
            prop_assert!(decode(&id, &bytes).is_err());
        }
    }
}
