//! The version of a record.

use std::fmt;

use super::small_bytes::SmallBytes;
use crate::id::{EntropyError, random_u64};

/// A store's opaque value for one state of one record. An update names the version it was computed from.
///
/// Only the store that made it interprets it: it may be a counter, a compare-and-swap value with a nonce, or an entity
/// tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(SmallBytes);

impl Version {
    /// Draws a version of 16 random bytes.
    ///
    /// Draw it before the write is sent. If the write is not answered, the stored version then shows whether it
    /// happened, since no other write has the same version.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn random() -> Result<Self, EntropyError> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random_u64()?.to_le_bytes());
        bytes[8..].copy_from_slice(&random_u64()?.to_le_bytes());
        Ok(Self::from_bytes(&bytes).expect("16 bytes are a version"))
    }

    /// Creates a version from a number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(SmallBytes::from_u64(number))
    }

    /// Creates a version from at most 31 bytes; `None` if there are more.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        SmallBytes::from_bytes(bytes).map(Self)
    }

    /// The number that was given to [`from_u64`](Self::from_u64); `None` if the version was not made from a number.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        self.0.to_u64()
    }

    /// The bytes of the version.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
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
    use super::{super::small_bytes::MAX_BYTES, *};

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

    #[test]
    fn a_random_version_is_never_drawn_twice() {
        let (one, two) = (Version::random().unwrap(), Version::random().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_bytes().len(), 16);
    }
}
