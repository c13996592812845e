//! Encoded values by key, in one allocation.

use std::fmt;

use super::{error::RecordError, reserved::is_reserved};

/// The longest key of an entry, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

const COUNT_BYTES: usize = 4;
const OFFSET_BYTES: usize = 4;
const KEY_LENGTH_BYTES: usize = 1;

const MISCOUNTED: RecordError = RecordError::new("its entries are not as many or as long as they were counted");

/// Entries sorted by key, in the form in which stores write them: a look-up is a binary search, a clone of the record's
/// `Arc` shares them, and a byte store copies them once.
///
/// ```text
/// count: u32 │ end of entry 0: u32 │ … │ end of entry n-1: u32 │ entry 0 │ … │ entry n-1
///                                                                  └ key length: u8 │ key │ value
/// ```
///
/// Numbers are little-endian; the ends are counted from the first entry's first byte.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Entries(Box<[u8]>);

impl Entries {
    /// Creates entries from pairs that are sorted by key without duplicates, as [`iter`](Self::iter) yields them.
    ///
    /// # Errors
    ///
    /// If the keys are not strictly ascending, a key is empty or longer than [`MAX_KEY_BYTES`], or the whole is larger
    /// than 4 GiB.
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])> + Clone) -> Result<Self, RecordError> {
        let (mut count, mut keys_and_values) = (0, 0);
        for (key, value) in pairs.clone() {
            count += 1;
            keys_and_values += key.len() + value.len();
        }
        Self::from_counted(pairs, count, keys_and_values)
    }

    /// The same as [`from_sorted`](Self::from_sorted), for pairs whose number and total length are known: they are
    /// iterated once.
    ///
    /// # Errors
    ///
    /// The same, and if the number or the length is not as given.
    pub(crate) fn from_counted<'a>(
        pairs: impl Iterator<Item = (&'a str, &'a [u8])>,
        count: usize,
        keys_and_values: usize,
    ) -> Result<Self, RecordError> {
        let too_large = |_| RecordError::new("it is larger than 4 GiB");
        let (data, length) = (COUNT_BYTES + count * OFFSET_BYTES, Self::encoded_len(count, keys_and_values));
        u32::try_from(length).map_err(too_large)?;
        let mut bytes = Vec::with_capacity(length);
        if count > 0 {
            bytes.extend_from_slice(&u32::try_from(count).map_err(too_large)?.to_le_bytes());
            bytes.resize(data, 0);
        }
        let (mut place, mut previous) = (COUNT_BYTES, "");
        for (key, value) in pairs {
            check_key(key.as_bytes())?;
            if previous >= key {
                return Err(RecordError::new("its keys are not in order"));
            }
            previous = key;
            bytes.push(u8::try_from(key.len()).map_err(too_large)?);
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(value);
            let end = u32::try_from(bytes.len().saturating_sub(data)).map_err(too_large)?;
            let Some(ends) = bytes.get_mut(..data) else { return Err(MISCOUNTED) };
            let Some(end_of) = ends.get_mut(place..place + OFFSET_BYTES) else { return Err(MISCOUNTED) };
            end_of.copy_from_slice(&end.to_le_bytes());
            place += OFFSET_BYTES;
        }
        if bytes.len() != length || (count > 0 && place != data) {
            return Err(MISCOUNTED);
        }
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// Reads entries from the form of [`as_bytes`](Self::as_bytes). Accepts any bytes without a panic.
    ///
    /// # Errors
    ///
    /// If they are not exactly the form of some entries.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        check(bytes)?;
        Ok(Self(bytes.into()))
    }

    /// Reads entries without copying the bytes.
    #[cfg_attr(not(feature = "encryption"), allow(dead_code, reason = "what opens records has made them itself"))]
    pub(crate) fn from_boxed(bytes: Box<[u8]>) -> Result<Self, RecordError> {
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the entries in the form that stores write. If there are none, the slice is empty.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns an entry's encoded value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.find(key).map(|(_, value)| value)
    }

    /// Returns the encoded value of a reserved entry. These come first, so that most often one look is enough.
    pub(crate) fn reserved(&self, key: &str) -> Option<&[u8]> {
        let mut reserved = (0..self.len()).map(|index| self.entry(index)).take_while(|(key, _)| is_reserved(key));
        reserved.find_map(|(reserved, value)| (reserved == key.as_bytes()).then_some(value))
    }

    /// Returns the encoded value of an entry, and its index.
    pub(crate) fn find(&self, key: &str) -> Option<(usize, &[u8])> {
        let index = self.search(key).ok()?;
        Some((index, self.entry(index).1))
    }

    /// Returns the index of an entry or, if there is none with this key, the index that it would have.
    fn search(&self, key: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let (candidate, _) = self.entry(middle);
            match candidate.cmp(key.as_bytes()) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Returns the key of the entry at `index`, which must be below `len`.
    pub(crate) fn key_at(&self, index: usize) -> &str {
        // Both constructors have checked that keys are UTF-8.
        std::str::from_utf8(self.entry(index).0).unwrap_or_default()
    }

    /// Returns the same entries with one of them set or, without a value, removed. What stays the same is copied as a
    /// whole.
    ///
    /// # Errors
    ///
    /// If the key is empty or longer than [`MAX_KEY_BYTES`], or the whole is larger than 4 GiB.
    pub(crate) fn with(&self, key: &str, value: Option<&[u8]>) -> Result<Self, RecordError> {
        check_key(key.as_bytes())?;
        let count = self.len();
        // The entries before and after this one.
        let (before, after) = match self.search(key) {
            Ok(index) => (index, index + 1),
            Err(index) => (index, index),
        };
        let new_count = before + usize::from(value.is_some()) + (count - after);
        if new_count == 0 {
            return Ok(Self::default());
        }
        let too_large = |_| RecordError::new("it is larger than 4 GiB");
        let (ends, data) = self.0.get(COUNT_BYTES..).unwrap_or_default().split_at(count * OFFSET_BYTES);
        let start_of = |index: usize| if index == 0 { 0 } else { self.end_of(index - 1) };
        let (start, rest) = (start_of(before), start_of(after));
        let end = start + value.map_or(0, |value| KEY_LENGTH_BYTES + key.len() + value.len());
        let length = COUNT_BYTES + new_count * OFFSET_BYTES + end + (data.len() - rest);
        u32::try_from(length).map_err(too_large)?;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&u32::try_from(new_count).map_err(too_large)?.to_le_bytes());
        bytes.extend_from_slice(&ends[..before * OFFSET_BYTES]);
        if value.is_some() {
            bytes.extend_from_slice(&u32::try_from(end).map_err(too_large)?.to_le_bytes());
        }
        for index in after..count {
            let moved = self.end_of(index) - rest + end;
            bytes.extend_from_slice(&u32::try_from(moved).map_err(too_large)?.to_le_bytes());
        }
        bytes.extend_from_slice(&data[..start]);
        if let Some(value) = value {
            bytes.push(u8::try_from(key.len()).map_err(too_large)?);
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(&data[rest..]);
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// Iterates over keys and encoded values, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        (0..self.len()).map(|index| (self.key_at(index), self.entry(index).1))
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        read_u32(&self.0, 0).unwrap_or(0)
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length of these keys and values in the form of [`as_bytes`](Self::as_bytes).
    pub(crate) fn encoded_len(count: usize, keys_and_values: usize) -> usize {
        if count == 0 { 0 } else { COUNT_BYTES + count * (OFFSET_BYTES + KEY_LENGTH_BYTES) + keys_and_values }
    }

    /// Returns the key and value of the entry at `index`, which must be below `len`. The constructors have checked
    /// every offset.
    fn entry(&self, index: usize) -> (&[u8], &[u8]) {
        let start = if index == 0 { 0 } else { self.end_of(index - 1) };
        let data = &self.0[COUNT_BYTES + self.len() * OFFSET_BYTES..];
        let (length, rest) = (usize::from(data[start]), &data[start + KEY_LENGTH_BYTES..self.end_of(index)]);
        rest.split_at(length)
    }

    /// Returns where the entry at `index` ends, counted from the first entry's first byte.
    fn end_of(&self, index: usize) -> usize {
        read_u32(&self.0, COUNT_BYTES + index * OFFSET_BYTES).unwrap_or(0)
    }
}

/// Shows only keys and sizes, since values are the application's secrets.
impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, format!("{} bytes", value.len())))).finish()
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// Checks that these are the bytes of entries, so that look-ups don't have to.
fn check(bytes: &[u8]) -> Result<(), RecordError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let short = RecordError::new("its entries are cut off");
    let count = read_u32(bytes, 0).ok_or(short)?;
    let data_start = count
        .checked_mul(OFFSET_BYTES)
        .and_then(|table| table.checked_add(COUNT_BYTES))
        .filter(|&start| start <= bytes.len() && count > 0)
        .ok_or(short)?;
    let data = &bytes[data_start..];
    let mut start = 0;
    let mut previous: &[u8] = &[];
    for index in 0..count {
        let end = read_u32(bytes, COUNT_BYTES + index * OFFSET_BYTES).ok_or(short)?;
        let entry = data.get(start..end).ok_or(short)?;
        let (&length, rest) = entry.split_first().ok_or(short)?;
        let key = rest.get(..usize::from(length)).ok_or(short)?;
        check_key(key)?;
        if std::str::from_utf8(key).is_err() {
            return Err(RecordError::new("a key is not UTF-8"));
        }
        if previous >= key {
            return Err(RecordError::new("its keys are not in order"));
        }
        previous = key;
        start = end;
    }
    if start != data.len() {
        return Err(RecordError::new("something follows its entries"));
    }
    Ok(())
}

fn check_key(key: &[u8]) -> Result<(), RecordError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(RecordError::new("a key is empty or longer than 255 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entries(map: &BTreeMap<String, Vec<u8>>) -> Entries {
        Entries::from_sorted(map.iter().map(|(key, value)| (key.as_str(), value.as_slice()))).unwrap()
    }

    #[test]
    fn debug_shows_no_value() {
        let map = BTreeMap::from([("card".to_owned(), b"4111111111111111".to_vec())]);
        assert_eq!(format!("{:?}", entries(&map)), r#"{"card": "16 bytes"}"#);
    }

    #[test]
    fn keys_out_of_order_are_refused() {
        let pairs = [("b", &b"1"[..]), ("a", &b"2"[..])];
        assert!(Entries::from_sorted(pairs.into_iter()).is_err());
        let twice = [("a", &b"1"[..]), ("a", &b"2"[..])];
        assert!(Entries::from_sorted(twice.into_iter()).is_err());
        assert!(Entries::from_sorted([("", &b"1"[..])].into_iter()).is_err());
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        assert!(Entries::from_sorted([(long.as_str(), &b"1"[..])].into_iter()).is_err());
    }

    #[test]
    fn miscounted_entries_are_refused() {
        let pairs = [("a", &b"12"[..]), ("b", &b"3"[..])];
        let from = |count, length| Entries::from_counted(pairs.into_iter(), count, length);
        assert_eq!(from(2, 5).unwrap(), Entries::from_sorted(pairs.into_iter()).unwrap());
        for (count, length) in [(0, 0), (0, 5), (1, 5), (1, 3), (2, 4), (2, 6), (3, 5), (3, 0)] {
            assert_eq!(from(count, length), Err(MISCOUNTED), "{count}, {length}");
        }
        let none = |count, length| Entries::from_counted(std::iter::empty(), count, length);
        assert_eq!(none(0, 0), Ok(Entries::default()));
        assert_eq!(none(1, 0), Err(MISCOUNTED));
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(map: BTreeMap<String, Vec<u8>>, probe: String) {
            let map: BTreeMap<_, _> = map
                .into_iter()
                .filter(|(key, _)| !key.is_empty() && key.len() <= MAX_KEY_BYTES)
                .collect();
            let entries = entries(&map);
            prop_assert_eq!(entries.len(), map.len());
            prop_assert_eq!(entries.is_empty(), map.is_empty());
            prop_assert!(entries.iter().eq(map.iter().map(|(key, value)| (key.as_str(), value.as_slice()))));
            for (key, value) in &map {
                prop_assert_eq!(entries.get(key), Some(value.as_slice()));
            }
            prop_assert_eq!(entries.get(&probe), map.get(&probe).map(Vec::as_slice));
            prop_assert_eq!(&Entries::from_bytes(entries.as_bytes()).unwrap(), &entries);
            let sizes = map.iter().map(|(key, value)| key.len() + value.len()).sum();
            prop_assert_eq!(Entries::encoded_len(map.len(), sizes), entries.as_bytes().len());
        }

        /// The bytes are those of all entries written anew.
        #[test]
        fn with_one_set_or_removed_they_are_as_if_written_anew(
            map in proptest::collection::btree_map("[a-e]{1,2}", proptest::collection::vec(any::<u8>(), 0..8), 0..8),
            key in "[a-e]{1,2}",
            value: Option<Vec<u8>>,
        ) {
            let changed = entries(&map).with(&key, value.as_deref()).unwrap();
            let mut map = map;
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
            prop_assert_eq!(changed, entries(&map));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(entries) = Entries::from_bytes(&bytes) {
                prop_assert_eq!(entries.as_bytes(), bytes.as_slice());
                prop_assert_eq!(entries.iter().count(), entries.len());
            }
        }

        #[test]
        fn a_changed_byte_is_an_error_or_other_entries(
            map in proptest::collection::btree_map("[a-z]{1,4}", proptest::collection::vec(any::<u8>(), 0..8), 1..6),
            at: proptest::sample::Index,
            xor in 1u8..,
        ) {
            let before = entries(&map);
            let mut bytes = before.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= xor;
            if let Ok(after) = Entries::from_bytes(&bytes) {
                prop_assert_ne!(&after, &before);
                prop_assert!(after.iter().all(|(key, value)| after.get(key) == Some(value)));
            }
        }
    }
}
