//! A store's opaque value for one state of a record.

use std::fmt;

/// The most bytes of a version.
const MAX_BYTES: usize = 31;

/// A store's opaque value for one state of one record. An update names the version it was computed from.
///
/// Only the store that made it knows what is in it: a counter, a compare-and-swap value with a nonce, an entity tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    length: u8,
    bytes: [u8; MAX_BYTES],
}

impl Version {
    /// A version that is a number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        let mut bytes = [0; MAX_BYTES];
        let number = number.to_be_bytes();
        let mut at = 0;
        while at < number.len() {
            bytes[at] = number[at];
            at += 1;
        }
        Self { length: 8, bytes }
    }

    /// A version of at most 31 bytes; `None` for more.
    #[must_use]
    pub fn from_bytes(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_BYTES];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { length: u8::try_from(from.len()).ok()?, bytes })
    }

    /// The number that [`from_u64`](Self::from_u64) was given; `None` if the version was not made from one.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        self.as_bytes().try_into().ok().map(u64::from_be_bytes)
    }

    /// The bytes of the version.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_come_back() {
        assert_eq!(Version::from_u64(u64::MAX - 1).to_u64(), Some(u64::MAX - 1));
        assert_eq!(Version::from_bytes(b"\"etag\"").unwrap().as_bytes(), b"\"etag\"");
        assert_eq!(Version::from_bytes(b"\"etag\"").unwrap().to_u64(), None);
        assert_eq!(Version::from_bytes(&[7; MAX_BYTES]).unwrap().as_bytes(), [7; MAX_BYTES]);
        assert!(Version::from_bytes(&[7; MAX_BYTES + 1]).is_none());
        assert_ne!(Version::from_bytes(&[]), Version::from_bytes(&[0]));
        assert_eq!(format!("{:?}", Version::from_u64(258)), "Version(0000000000000102)");
    }
}
