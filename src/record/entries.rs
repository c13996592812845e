//! Encoded values by key, in one allocation.

use std::fmt;

use super::error::RecordError;

/// The longest key of an entry, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

const COUNT_BYTES: usize = 4;
const OFFSET_BYTES: usize = 4;
const KEY_LENGTH_BYTES: usize = 1;

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
        let (mut count, mut data) = (0usize, 0usize);
        let mut previous: Option<&str> = None;
        for (key, value) in pairs.clone() {
            check_key(key.as_bytes())?;
            if previous.is_some_and(|previous| previous >= key) {
                return Err(RecordError::new("its keys are not in order"));
            }
            previous = Some(key);
            count += 1;
            data += KEY_LENGTH_BYTES + key.len() + value.len();
        }
        if count == 0 {
            return Ok(Self::default());
        }
        let too_large = |_| RecordError::new("it is larger than 4 GiB");
        u32::try_from(data).map_err(too_large)?;
        let mut bytes = Vec::with_capacity(COUNT_BYTES + count * OFFSET_BYTES + data);
        bytes.extend_from_slice(&u32::try_from(count).map_err(too_large)?.to_le_bytes());
        let mut end = 0u32;
        for (key, value) in pairs.clone() {
            let length = KEY_LENGTH_BYTES + key.len() + value.len();
            end += u32::try_from(length).map_err(too_large)?;
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        for (key, value) in pairs {
            bytes.push(u8::try_from(key.len()).map_err(too_large)?);
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(value);
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

    /// Returns the encoded value of an entry, and its index.
    pub(crate) fn find(&self, key: &str) -> Option<(usize, &[u8])> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let (candidate, value) = self.entry(middle);
            match candidate.cmp(key.as_bytes()) {
                std::cmp::Ordering::Equal => return Some((middle, value)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Iterates over keys and encoded values, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        (0..self.len()).map(|index| {
            let (key, value) = self.entry(index);
            // Both constructors have checked that keys are UTF-8.
            (std::str::from_utf8(key).unwrap_or_default(), value)
        })
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
        let end_of = |index: usize| read_u32(&self.0, COUNT_BYTES + index * OFFSET_BYTES).unwrap_or(0);
        let start = if index == 0 { 0 } else { end_of(index - 1) };
        let data = &self.0[COUNT_BYTES + self.len() * OFFSET_BYTES..];
        let (length, rest) = (usize::from(data[start]), &data[start + KEY_LENGTH_BYTES..end_of(index)]);
        rest.split_at(length)
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
