//! The id of a key.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};

/// Bytes of a key's id; 6 bytes are 8 characters of base64url without padding.
pub(crate) const KEY_ID_BYTES: usize = 6;

/// Identifies a key of a ring. It is derived one-way from the secret, so it is safe in logs and on disk.
///
/// `Display` writes 8 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    pub(crate) const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_bytes(self) -> [u8; KEY_ID_BYTES] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
