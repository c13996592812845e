//! The time of the last renewal that was not a login, in an entry that applications don't see.

use std::time::SystemTime;

use super::Record;
use crate::clock;

/// The first character of the crate's own keys, which applications can neither set nor read.
const RESERVED: char = '\0';

/// The entry with the time of the last renewal: milliseconds since the Unix epoch, a little-endian `u64`.
pub(crate) const RENEWED: &str = "\0renewed";

/// Whether this key is reserved for the crate.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED)
}

/// Encodes the time of a renewal as the entry's value.
pub(crate) fn renewed_value(at: SystemTime) -> [u8; 8] {
    clock::to_millis(at).to_le_bytes()
}

impl Record {
    /// Whether this record holds the same session as far as the application can see: entries, owner, lifetime and
    /// creation time. The id, the token and the time of a renewal may differ.
    pub(crate) fn has_data_of(&self, other: &Self) -> bool {
        let own = |(key, _): &(&str, &[u8])| !is_reserved(key);
        self.owner() == other.owner()
            && self.lifetime() == other.lifetime()
            && self.created_at() == other.created_at()
            && self.entries().iter().filter(own).eq(other.entries().iter().filter(own))
    }

    /// When a renewal gave the session its current token, in milliseconds since the Unix epoch. Returns `None` if the
    /// token is from the session's creation or login.
    pub(crate) fn renewed_millis(&self) -> Option<u64> {
        let bytes = self.entries().get(RENEWED)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }
}
