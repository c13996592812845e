//! The crate's own keys among a session's entries, which applications can neither set nor read.

/// The first character of a reserved key.
const RESERVED: char = '\0';

/// The entry with the time of the last renewal: milliseconds since the Unix epoch, a little-endian `u64`.
pub(crate) const RENEWED: &str = "\0renewed";

/// Whether this key is reserved for the crate.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED)
}
