//! When a session last got a new token without a login: an entry that applications don't see.

use std::time::SystemTime;

use super::Record;
use crate::clock;

/// Keys that begin so are the crate's own: applications can neither set nor read them.
const RESERVED: char = '\0';

/// The entry with the time of the last renewal: milliseconds since the Unix epoch, a little-endian `u64`.
pub(crate) const RENEWED: &str = "\0renewed";

/// Whether an entry of this key is the crate's own.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED)
}

/// The value of the entry that says when the session was renewed.
pub(crate) fn renewed_value(at: SystemTime) -> [u8; 8] {
    clock::to_millis(at).to_le_bytes()
}

impl Record {
    /// When the session got its present token, in milliseconds since the Unix epoch; `None` if it still has the one from
    /// its creation or login.
    pub(crate) fn renewed_millis(&self) -> Option<u64> {
        let bytes = self.entries().get(RENEWED)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }
}
