//! The crate's own keys among a session's entries, which applications can neither set nor read.

/// The first byte of a reserved key, before which no other sorts.
const RESERVED: u8 = 0;

/// The entry with the time of the last renewal: milliseconds since the Unix epoch, a little-endian `u64`.
pub(crate) const RENEWED: &str = "\0renewed";

/// Whether this key is reserved for the crate.
pub(crate) fn is_reserved(key: impl AsRef<[u8]>) -> bool {
    key.as_ref().first() == Some(&RESERVED)
}
