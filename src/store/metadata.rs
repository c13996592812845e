//! Information about a session besides its data.

use std::{fmt, time::SystemTime};

use super::Stored;

/// Information about a session besides its data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// When the session's absolute lifetime began.
    pub created_at: SystemTime,
    /// When the session was last used, as far as the store knows.
    pub used_at: SystemTime,
    /// From when on the session is expired.
    pub expires_at: SystemTime,
    /// How often the session was loaded, if the store counts it.
    pub access_count: Option<u64>,
    /// Until when the session is leased, if it is and the store can tell.
    pub leased_until: Option<SystemTime>,
    /// Active, expired or locked.
    pub status: SessionStatus,
}

impl Metadata {
    /// The metadata of a stored record at this time.
    #[must_use]
    pub fn of(stored: &Stored, now: SystemTime) -> Self {
        Self {
            created_at: stored.record.created_at(),
            used_at: stored.used_at,
            expires_at: stored.expires_at,
            access_count: None,
            leased_until: None,
            status: if stored.is_expired(now) { SessionStatus::Expired } else { SessionStatus::Active },
        }
    }

    /// Adds how often the session was loaded.
    #[must_use]
    pub fn with_access_count(mut self, count: u64) -> Self {
        self.access_count = Some(count);
        self
    }

    /// Adds a lease that lasts until `until`. The status becomes `Locked`, except that an expired session stays
    /// `Expired`.
    #[must_use]
    pub fn with_lease(mut self, until: SystemTime) -> Self {
        self.leased_until = Some(until);
        if self.status == SessionStatus::Active {
            self.status = SessionStatus::Leased;
        }
        self
    }
}

/// Whether a session can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// Live and not leased.
    Active,
    /// Expired and not swept yet.
    Expired,
    /// Live and leased.
    Leased,
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Leased => "leased",
        })
    }
}
