//! The format of a snapshot.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::SystemTime,
};

use super::{journal_line::MOST_VERSION, slot::Slot};
use crate::{clock, id::SessionId, record::Record};

/// `session-layer snapshot`, format 1.
const MAGIC: [u8; 8] = *b"SLSNAP\0\x01";

/// Magic, version, time, checksum.
const HEAD_BYTES: usize = 8 + 8 + 8 + 4;

/// Id, version, use, expiry, order of use, loads, length of the record.
const ENTRY_HEAD_BYTES: usize = 16 + 4 * 8 + 2 * 4;

/// The size in bytes from which a block is closed.
const BLOCK_BYTES: usize = 256 * 1024;

/// Stamps from this one on are refused. That leaves room for 2^59 uses after the end of the year 9999.
const MOST_STAMP: u64 = 0xf << 60;

/// One record in a snapshot. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) id: SessionId,
    pub(super) record: Arc<Record>,
    pub(super) version: u64,
    pub(super) used_at: u64,
    pub(super) expires_at: u64,
    pub(super) stamp: u64,
    pub(super) loads: u32,
}

impl Saved {
    pub(super) fn of(slot: &Slot) -> Self {
        let &Slot { id, version, used_at, expires_at, stamp, loads, .. } = slot;
        Self { id, record: Arc::clone(&slot.record), version, used_at, expires_at, stamp, loads }
    }

    pub(super) fn into_slot(self) -> Slot {
        let Self { id, record, version, used_at, expires_at, stamp, loads } = self;
        let expires_at = expires_at.min(clock::to_millis(record.absolute_limit()));
        Slot { id, record, version, used_at, expires_at, stamp, loads, lease: None }
    }
}

/// Writes a snapshot: a head, blocks, and an end. A snapshot without its end is cut off.
///
/// ```text
/// head   magic: 8 bytes │ version: u64 │ written at: u64 │ CRC-32 of these
/// block  length: u32 │ CRC-32 of the block's number (u64) and its entries │ entries
/// end    0: u32 │ blocks: u64 │ entries: u64 │ CRC-32 of these
///
/// entry  id: 16 bytes │ version: u64 │ used at: u64 │ expires at: u64 │ order of use: u64 │ loads: u32 │
///        length: u32 │ record, see `Record::to_bytes`
/// ```
///
/// Numbers are little-endian, times are milliseconds since the Unix epoch.
pub(super) struct SnapshotWriter<W> {
    to: W,
    block: Vec<u8>,
    blocks: u64,
    pub(super) entries: u64,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins a snapshot. After it is restored, no version up to `version` is given again.
    pub(super) fn begin(mut to: W, version: u64, now: u64) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend(MAGIC);
        head.extend(version.to_le_bytes());
        head.extend(now.to_le_bytes());
        head.extend(crc32fast::hash(&head).to_le_bytes());
        to.write_all(&head)?;
        Ok(Self { to, block: Vec::with_capacity(BLOCK_BYTES * 2), blocks: 0, entries: 0 })
    }

    pub(super) fn add(&mut self, saved: &Saved) -> io::Result<()> {
        let record = saved.record.to_bytes();
        let length = u32::try_from(record.len()).map_err(|_| io::Error::other("a record is larger than 4 GiB"))?;
        if !self.block.is_empty() && self.block.len() + ENTRY_HEAD_BYTES + record.len() > u32::MAX as usize {
            self.close_block()?;
        }
        self.block.extend(saved.id.as_bytes());
        for number in [saved.version, saved.used_at, saved.expires_at, saved.stamp] {
            self.block.extend(number.to_le_bytes());
        }
        self.block.extend(saved.loads.to_le_bytes());
        self.block.extend(length.to_le_bytes());
        self.block.extend(record);
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.block.len()).map_err(|_| io::Error::other("a record is larger than 4 GiB"))?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&block_sum(self.blocks, &self.block).to_le_bytes())?;
        self.to.write_all(&self.block)?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// Ends the snapshot. Returns the writer.
    pub(super) fn end(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        self.to.write_all(&[0; 4])?;
        self.to.write_all(&end(self.blocks, self.entries))?;
        Ok(self.to)
    }
}

fn block_sum(number: u64, block: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_le_bytes());
    sum.update(block);
    sum.finalize()
}

fn end(blocks: u64, entries: u64) -> [u8; 20] {
    let mut end = [0; 20];
    end[..8].copy_from_slice(&blocks.to_le_bytes());
    end[8..16].copy_from_slice(&entries.to_le_bytes());
    let sum = crc32fast::hash(&end[..16]);
    end[16..].copy_from_slice(&sum.to_le_bytes());
    end
}

/// A snapshot can't be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    Damaged(&'static str),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it is cut off"),
            _ => Self::Io(error),
        }
    }
}

/// The head of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The latest version in the head or an entry.
    pub(super) version: u64,
    pub(super) written_at: SystemTime,
}

/// Reads a snapshot of `size` bytes, which may contain anything, and passes each entry to `keep`. The entries can be
/// trusted only after this has returned `Ok`.
pub(super) fn read(mut from: impl Read, size: u64, mut keep: impl FnMut(Saved)) -> Result<Head, ReadError> {
    let head: [u8; HEAD_BYTES] = take(&mut from)?;
    if head[..8] != MAGIC {
        return Err(ReadError::Damaged("it is not a snapshot of this version of the memory store"));
    }
    if crc32fast::hash(&head[..HEAD_BYTES - 4]).to_le_bytes() != head[HEAD_BYTES - 4..] {
        return Err(ReadError::Damaged("the checksum of its head is wrong"));
    }
    let (mut fields, mut version) = (&head[8..], 0);
    version = number(&mut fields).unwrap_or(version);
    let written_at = clock::from_millis(number(&mut fields).unwrap_or_default());
    let (mut blocks, mut entries) = (0, 0);
    let mut block = Vec::new();
    loop {
        let length = u64::from(u32::from_le_bytes(take(&mut from)?));
        if length == 0 {
            break;
        }
        // A damaged length must not allocate more memory than the file has bytes.
        if length > size {
            return Err(ReadError::Damaged("it is cut off"));
        }
        let sum = u32::from_le_bytes(take(&mut from)?);
        block.clear();
        if (&mut from).take(length).read_to_end(&mut block)? as u64 != length {
            return Err(ReadError::Damaged("it is cut off"));
        }
        if block_sum(blocks, &block) != sum {
            return Err(ReadError::Damaged("the checksum of a block is wrong"));
        }
        blocks += 1;
        let mut rest = &block[..];
        while !rest.is_empty() {
            let saved = entry(&mut rest).ok_or(ReadError::Damaged("a block contains something other than records"))?;
            version = version.max(saved.version);
            if saved.stamp >= MOST_STAMP {
                return Err(ReadError::Damaged("an order of use in it is out of range"));
            }
            entries += 1;
            keep(saved);
        }
    }
    if take::<20>(&mut from)? != end(blocks, entries) {
        return Err(ReadError::Damaged("the count at its end is wrong"));
    }
    if from.read(&mut [0])? != 0 {
        return Err(ReadError::Damaged("something follows its end"));
    }
    if version >= MOST_VERSION {
        return Err(ReadError::Damaged("a version in it is out of range"));
    }
    Ok(Head { version, written_at })
}

fn entry(rest: &mut &[u8]) -> Option<Saved> {
    let (id, tail) = rest.split_first_chunk::<16>()?;
    *rest = tail;
    let version = number(rest)?;
    let used_at = number(rest)?;
    let expires_at = number(rest)?;
    let stamp = number(rest)?;
    let (lengths, tail) = rest.split_at_checked(8)?;
    let loads = u32::from_le_bytes(lengths[..4].try_into().ok()?);
    let length = u32::from_le_bytes(lengths[4..].try_into().ok()?);
    let (record, tail) = tail.split_at_checked(length as usize)?;
    *rest = tail;
    let record = Arc::new(Record::from_bytes(record).ok()?);
    let id = SessionId::from_uuid(uuid::Uuid::from_bytes(*id));
    Some(Saved { id, record, version, used_at, expires_at, stamp, loads })
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (head, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    Some(u64::from_le_bytes(*head))
}

fn take<const N: usize>(from: &mut impl Read) -> Result<[u8; N], ReadError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A snapshot with valid checksums and these bytes as its only block.
#[cfg(fuzzing)]
pub(super) fn of_block(block: &[u8]) -> Vec<u8> {
    let mut writer = SnapshotWriter::begin(Vec::new(), 99, 0).expect("memory");
    writer.block = block.to_vec();
    writer.end().expect("memory")
}

/// A snapshot of valid records, whose ids, versions, times and order of use come from these bytes.
#[cfg(fuzzing)]
pub(super) fn of_numbers(data: &[u8]) -> Vec<u8> {
    let mut writer = SnapshotWriter::begin(Vec::new(), 99, 0).expect("memory");
    for chunk in data.as_chunks::<41>().0 {
        let number = |at: usize| u64::from_le_bytes(chunk[at..at + 8].try_into().expect("eight bytes"));
        let created = clock::from_millis(number(33));
        let check = crate::id::TokenCheck::from_bytes([7; 16]);
        let owner = crate::record::Owner::new("alice", crate::record::Epoch::from_u64(1)).expect("a name");
        let record = Record::session(check, created, crate::lifetime::Lifetime::default())
            .with_owner((chunk[0] & 0x80 != 0).then_some(owner));
        let saved = Saved {
            id: SessionId::for_epoch(&(chunk[0] & 7).to_string()),
            record: Arc::new(record),
            version: number(1),
            used_at: number(9),
            expires_at: number(17),
            stamp: number(25),
            loads: u32::MAX,
        };
        writer.add(&saved).expect("memory");
    }
    writer.end().expect("memory")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        Lifetime,
        id::TokenCheck,
        record::{Entries, Epoch, Owner},
    };

    fn some(count: u64) -> Vec<Saved> {
        (0..count)
            .map(|number| {
                let created = UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + number);
                let value = format!("\x01{number}");
                let entries = Entries::from_sorted([("n", value.as_bytes())].into_iter()).unwrap();
                let owner = (number % 2 == 0).then(|| Owner::new("alice", Epoch::from_u64(number)).unwrap());
                let record = Record::session(TokenCheck::from_bytes([7; 16]), created, Lifetime::default())
                    .with_entries(entries)
                    .with_owner(owner);
                Saved {
                    id: SessionId::for_epoch(&number.to_string()),
                    record: Arc::new(record),
                    version: number + 1,
                    used_at: 1_800_000_000_000,
                    expires_at: 1_800_003_600_000,
                    stamp: number,
                    loads: 3,
                }
            })
            .collect()
    }

    fn write(saved: &[Saved]) -> Vec<u8> {
        let mut writer = SnapshotWriter::begin(Vec::new(), 99, 1_800_000_000_000).unwrap();
        saved.iter().for_each(|saved| writer.add(saved).unwrap());
        writer.end().unwrap()
    }

    fn read_all(bytes: &[u8]) -> Result<(Head, Vec<Saved>), ReadError> {
        let mut saved = Vec::new();
        let head = read(bytes, bytes.len() as u64, |one| saved.push(one))?;
        Ok((head, saved))
    }

    #[test]
    fn a_written_snapshot_is_read_back() {
        // This takes several blocks.
        let saved = some(5_000);
        let bytes = write(&saved);
        assert!(bytes.len() > 2 * BLOCK_BYTES);
        let (head, read) = read_all(&bytes).unwrap();
        assert_eq!(head.version, 5_000);
        assert!(read == saved);
        assert_eq!(read_all(&write(&[])).unwrap().0.version, 99);
    }

    /// Numbers that are counted on from must leave room for that. (Found by fuzzing.)
    #[test]
    fn numbers_that_could_not_be_counted_on_from_are_damage() {
        let with = |version, stamp| read_all(&write(&[Saved { version, stamp, ..some(1).remove(0) }]));
        assert!(with(MOST_VERSION - 1, MOST_STAMP - 1).is_ok());
        assert!(matches!(with(MOST_VERSION, 0), Err(ReadError::Damaged("a version in it is out of range"))));
        assert!(matches!(with(1, MOST_STAMP), Err(ReadError::Damaged("an order of use in it is out of range"))));
    }

    #[test]
    fn cut_off_anywhere_is_damage() {
        let bytes = write(&some(3));
        for cut in 0..bytes.len() {
            assert!(matches!(read_all(&bytes[..cut]), Err(ReadError::Damaged(_))), "cut at {cut}");
        }
        assert!(read_all(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn blocks_can_not_change_places() {
        let bytes = write(&some(5_000));
        let first = u32::from_le_bytes(bytes[HEAD_BYTES..HEAD_BYTES + 4].try_into().unwrap()) as usize + 8;
        let (head, rest) = bytes.split_at(HEAD_BYTES);
        let second = u32::from_le_bytes(rest[first..first + 4].try_into().unwrap()) as usize + 8;
        let swapped = [head, &rest[first..first + second], &rest[..first], &rest[first + second..]].concat();
        assert!(matches!(read_all(&swapped), Err(ReadError::Damaged("the checksum of a block is wrong"))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(read_all(&bytes).is_err());
            let head = &write(&[])[..HEAD_BYTES];
            prop_assert!(read_all(&[head, &bytes[..]].concat()).is_err());
        }

        /// Even if the checksums are valid.
        #[test]
        fn hostile_blocks_never_panic(block in proptest::collection::vec(any::<u8>(), 1..200)) {
            let mut writer = SnapshotWriter::begin(Vec::new(), 99, 0).unwrap();
            writer.block = block;
            let _ = read_all(&writer.end().unwrap());
        }

        /// No flipped bit changes a session or loses one.
        #[test]
        fn flipped_bits_are_found(at: proptest::sample::Index, bit in 0u8..8) {
            let mut bytes = write(&some(3));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read_all(&bytes).is_err());
        }
    }
}
