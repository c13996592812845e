//! The time of the last renewal that was not a login, in an entry that applications don't see.

use std::time::SystemTime;

use super::{record::Record, reserved::RENEWED};
use crate::clock;

/// Encodes the time of a renewal as the entry's value.
pub(crate) fn renewed_value(at: SystemTime) -> [u8; 8] {
    clock::to_millis(at).to_le_bytes()
}

impl Record {
    /// When a renewal gave the session its current token, in milliseconds since the Unix epoch. Returns `None` if the
    /// token is from the session's creation or login.
    pub(crate) fn renewed_millis(&self) -> Option<u64> {
        let bytes = self.entries().reserved(RENEWED)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }
}
