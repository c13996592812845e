//! The sliding times of a session.

use std::time::{Duration, SystemTime};

use crate::{clock, record::Record};

/// The sliding times of a session: when it was last used, and from when on it is expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Usage {
    /// When the session was last used.
    pub used_at: SystemTime,
    /// From when on the session is expired.
    pub expires_at: SystemTime,
}

impl Usage {
    /// The usage after a use at `now`: the expiry follows from the record's idle timeout, capped by its absolute limit.
    #[must_use]
    pub fn at(record: &Record, now: SystemTime) -> Self {
        Self { used_at: now, expires_at: record.expires_at(now) }
    }

    /// Creates a usage from milliseconds since the Unix epoch, as a store may keep them.
    #[must_use]
    pub fn from_millis(used: u64, expires: u64) -> Self {
        Self { used_at: clock::from_millis(used), expires_at: clock::from_millis(expires) }
    }

    /// The last use in milliseconds since the Unix epoch.
    #[must_use]
    pub fn used_millis(&self) -> u64 {
        clock::to_millis(self.used_at)
    }

    /// The expiry in milliseconds since the Unix epoch.
    #[must_use]
    pub fn expires_millis(&self) -> u64 {
        clock::to_millis(self.expires_at)
    }

    /// The usage after a use at `now` that keeps a record for `time`, whatever its lifetime.
    #[must_use]
    pub fn keep_for(now: SystemTime, time: Duration) -> Self {
        Self { used_at: now, expires_at: clock::later(now, time) }
    }
}
