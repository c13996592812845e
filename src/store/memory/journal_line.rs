//! The lines of the removal journal, as bytes.

use std::collections::HashMap;

use crate::id::SessionId;

/// `session-layer journal`, format 1.
const MAGIC: [u8; 8] = *b"SLJRNL\0\x01";

/// Magic, version, checksum.
pub(super) const HEAD_BYTES: usize = 8 + 8 + 4;

/// Kind, id, version, time, checksum.
pub(super) const LINE_BYTES: usize = 1 + 16 + 8 + 8 + 4;

const ONE: u8 = 1;
const ALL: u8 = 2;

/// A line of the journal: "no state of this id up to this version lives beyond this time." For a removal, the time is
/// 0.
///
/// Versions ascend over all ids and restarts. So a line can be applied twice, late, or to a snapshot that was taken
/// after it, without harm to later states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JournalLine {
    /// `None` stands for every id.
    id: Option<SessionId>,
    version: u64,
    not_after: u64,
}

impl JournalLine {
    pub(super) fn one(id: &SessionId, version: u64, not_after: u64) -> Self {
        Self { id: Some(*id), version, not_after }
    }

    pub(super) fn all(version: u64) -> Self {
        Self { id: None, version, not_after: 0 }
    }

    /// ```text
    /// kind: u8 (1 one id, 2 every id) │ id: 16 bytes │ version: u64 │ not after: u64, milliseconds │ CRC-32: u32
    /// ```
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.push(if self.id.is_some() { ONE } else { ALL });
        bytes.extend(self.id.map_or([0; 16], |id| *id.as_bytes()));
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.not_after.to_le_bytes());
        let sum = crc32fast::hash(&bytes[start..]);
        bytes.extend(sum.to_le_bytes());
    }

    fn read(bytes: &[u8; LINE_BYTES]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
            return None;
        }
        Self::parse(content)
    }

    /// Reads the last line of a journal, which may be torn: it then ends in zeros. Returns `None` if the line is
    /// damaged, and `Some(None)` if too little of it is left to tell what it says.
    fn read_last(bytes: &[u8; LINE_BYTES]) -> Option<Option<Self>> {
        let (content, sum) = bytes.split_last_chunk::<4>()?;
        // If any of the checksum is left, all that comes before it is, too. That part of the checksum must then be
        // right.
        let there = sum.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if sum[..there] != crc32fast::hash(content).to_le_bytes()[..there] {
            return None;
        }
        if there == 0 { Some(Self::read(bytes)) } else { Self::parse(content).map(Some) }
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let (&kind, rest) = content.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let id = match kind {
            ONE => Some(SessionId::from_uuid(uuid::Uuid::from_bytes(*id))),
            ALL => None,
            _ => return None,
        };
        let not_after = u64::from_le_bytes(rest.try_into().ok()?);
        Some(Self { id, version: u64::from_le_bytes(*version), not_after })
    }
}

/// Versions from this one on are refused. Real ones are far below, and counting on from a larger one could overflow.
pub(super) const MOST_VERSION: u64 = 1 << 63;

/// Writes the head of a journal. No version above `version` was given before the journal was begun.
pub(super) fn write_head(version: u64, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend(MAGIC);
    bytes.extend(version.to_le_bytes());
    let sum = crc32fast::hash(&bytes[start..]);
    bytes.extend(sum.to_le_bytes());
}

/// The contents of a journal: which states are not to be restored.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// The latest version that the journal names.
    pub(super) version: u64,
    pub(super) lines: Vec<JournalLine>,
    all: u64,
    one: HashMap<SessionId, Vec<(u64, u64)>>,
}

impl Removals {
    /// Reads a journal.
    ///
    /// A crash can leave a last line that is cut off or ends in zeros, or zeros after the last line. That is not
    /// damage, since no such line was reported as written.
    ///
    /// # Errors
    ///
    /// If the bytes are not a journal, or are damaged anywhere else.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or("it is too short for a journal")?;
        let (content, sum) = head.split_at(HEAD_BYTES - 4);
        if content[..8] != MAGIC {
            return Err("it is not a journal of this version of the memory store");
        }
        if crc32fast::hash(content).to_le_bytes() != sum {
            return Err("the checksum of its head is wrong");
        }
        let (_, version) = content.split_last_chunk::<8>().ok_or("it is too short for a journal")?;
        let mut removals = Self { version: u64::from_le_bytes(*version), ..Self::default() };
        const WRONG: &str = "the checksum of one of its lines is wrong";
        let (lines, cut_off) = rest.as_chunks::<LINE_BYTES>();
        let written = lines.iter().rposition(|line| line.iter().any(|&byte| byte != 0)).map_or(0, |last| last + 1);
        // A line that is followed by another one, or by the beginning of one, was complete before that was written.
        let whole = if cut_off.iter().all(|&byte| byte == 0) { written.saturating_sub(1) } else { written };
        for line in &lines[..whole] {
            removals.add(JournalLine::read(line).ok_or(WRONG)?);
        }
        for line in &lines[whole..written] {
            JournalLine::read_last(line).ok_or(WRONG)?.into_iter().for_each(|line| removals.add(line));
        }
        if removals.version >= MOST_VERSION {
            return Err("a version in it is out of range");
        }
        Ok(removals)
    }

    fn add(&mut self, line: JournalLine) {
        self.version = self.version.max(line.version);
        self.lines.push(line);
        match line.id {
            None => self.all = self.all.max(line.version),
            Some(id) => self.one.entry(id).or_default().push((line.version, line.not_after)),
        }
    }

    /// Returns until when this state of a session may live at most, in milliseconds; 0 if it was removed.
    pub(super) fn limit(&self, id: &SessionId, version: u64) -> u64 {
        if version <= self.all {
            return 0;
        }
        let lines = self.one.get(id).map_or(&[][..], Vec::as_slice);
        lines.iter().filter(|line| version <= line.0).map(|line| line.1).min().unwrap_or(u64::MAX)
    }
}

/// A journal with valid checksums and these bytes as its lines.
#[cfg(fuzzing)]
pub(super) fn of_lines(bytes: &[u8]) -> Vec<u8> {
    let mut journal = Vec::new();
    write_head(7, &mut journal);
    for &line in bytes.as_chunks::<33>().0 {
        let number = |at: usize| u64::from_le_bytes(line[at..at + 8].try_into().expect("eight bytes"));
        let id = uuid::Uuid::from_slice(&line[1..17]).map(SessionId::from_uuid).expect("16 bytes");
        let id = (line[0] & 1 == 0).then_some(id);
        JournalLine { id, version: number(17) % MOST_VERSION, not_after: number(25) }.write(&mut journal);
    }
    journal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn journal(lines: &[JournalLine]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_head(7, &mut bytes);
        lines.iter().for_each(|line| line.write(&mut bytes));
        bytes
    }

    fn some_lines() -> Vec<JournalLine> {
        let id = SessionId::for_epoch("a");
        vec![JournalLine::one(&id, 10, 0), JournalLine::one(&SessionId::for_epoch("b"), 12, 5_000), JournalLine::all(8)]
    }

    #[test]
    fn lines_end_states_up_to_their_version() {
        let (a, b, c) = (SessionId::for_epoch("a"), SessionId::for_epoch("b"), SessionId::for_epoch("c"));
        let removals = Removals::read(&journal(&some_lines())).unwrap();
        assert_eq!((removals.version, removals.lines.as_slice()), (12, some_lines().as_slice()));
        assert_eq!((removals.limit(&a, 10), removals.limit(&a, 11)), (0, u64::MAX));
        assert_eq!((removals.limit(&b, 12), removals.limit(&b, 13)), (5_000, u64::MAX));
        assert_eq!((removals.limit(&c, 8), removals.limit(&c, 9)), (0, u64::MAX));
    }

    /// A crash cuts the last line off, or leaves zeros. What was acknowledged before it stays.
    #[test]
    fn a_torn_end_is_no_damage() {
        let whole = journal(&some_lines());
        for cut in 1..LINE_BYTES {
            assert_eq!(Removals::read(&whole[..whole.len() - cut]).unwrap().lines, some_lines()[..2]);
        }
        assert_eq!(Removals::read(&[&whole[..], &[0; 100]].concat()).unwrap().lines, some_lines());
        assert!(Removals::read(&whole[..HEAD_BYTES - 1]).is_err());
    }

    /// The file's length reached the disk but its last page did not: a line ends in zeros.
    #[test]
    fn zeros_in_the_place_of_a_lines_end_are_no_damage() {
        for last in [JournalLine::one(&SessionId::for_epoch("c"), MOST_VERSION - 1, u64::MAX), JournalLine::all(13)] {
            let lines = [&some_lines()[..], &[last]].concat();
            for (cut, after) in (1..=LINE_BYTES).flat_map(|cut| [0, 1, LINE_BYTES, 100].map(|after| (cut, after))) {
                let mut torn = journal(&lines);
                let end = torn.len();
                torn[end - cut..].fill(0);
                torn.resize(end + after, 0);
                // Up to three bytes of the checksum may be missing: the others show that the line is right.
                let whole = if cut < 4 { lines.len() } else { lines.len() - 1 };
                assert_eq!(Removals::read(&torn).unwrap().lines, lines[..whole], "{cut} bytes, {after} after them");
            }
        }
    }

    /// What follows was written later, so the line was complete on the disk before.
    #[test]
    fn zeros_in_the_middle_are_damage() {
        for cut in 1..LINE_BYTES {
            let mut bytes = journal(&some_lines());
            let end = HEAD_BYTES + 2 * LINE_BYTES;
            bytes[end - cut..end].fill(0);
            assert!(Removals::read(&bytes).is_err(), "{cut} bytes");
            assert!(Removals::read(&bytes[..=end]).is_err(), "{cut} bytes, then a line that is cut off");
        }
    }

    /// Versions are counted on from the latest one. A counter that wraps around would repeat them.
    #[test]
    fn versions_that_could_not_be_counted_on_from_are_damage() {
        assert!(Removals::read(&journal(&[JournalLine::all(MOST_VERSION - 1)])).is_ok());
        for line in [JournalLine::all(MOST_VERSION), JournalLine::one(&SessionId::for_epoch("a"), u64::MAX, 0)] {
            assert_eq!(Removals::read(&journal(&[line])).unwrap_err(), "a version in it is out of range");
        }
    }

    /// Zeros at the end are no excuse for damage before them.
    #[test]
    fn a_wrong_line_with_a_part_of_its_checksum_is_damage() {
        for missing in 0..4 {
            let mut bytes = journal(&some_lines());
            let end = bytes.len();
            bytes[end - missing..].fill(0);
            bytes[end - LINE_BYTES + 17] ^= 1;
            assert!(Removals::read(&bytes).is_err(), "{missing} bytes");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Removals::read(&bytes);
            let _ = Removals::read(&[&journal(&[])[..], &bytes[..]].concat());
        }

        /// No flipped bit makes a removal disappear unnoticed.
        #[test]
        fn flipped_bits_are_found(at: proptest::sample::Index, bit in 0u8..8) {
            let mut bytes = journal(&some_lines());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Removals::read(&bytes).is_err());
        }
    }
}
