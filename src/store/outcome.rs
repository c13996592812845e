//! What goes into a store and what comes out.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::Version;
use crate::{clock, id::SessionId, lifetime::Lifetime, record::Record};

/// A record as a store holds it: with its version and its sliding expiry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stored {
    /// The record, shared.
    pub record: Arc<Record>,
    /// The state of the record that an update must name.
    pub version: Version,
    /// When the session was last used: created, updated or touched.
    pub used_at: SystemTime,
    /// From when on the session is expired: never past the record's absolute limit.
    pub expires_at: SystemTime,
}

impl Stored {
    /// A stored record. The expiry is capped by the record's absolute limit.
    #[must_use]
    pub fn new(record: Arc<Record>, version: Version, usage: Usage) -> Self {
        let expires_at = usage.expires_at.min(record.absolute_limit());
        Self { record, version, used_at: usage.used_at, expires_at }
    }

    /// Last use and sliding expiry.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { used_at: self.used_at, expires_at: self.expires_at }
    }

    /// Whether the session is expired at this time: from `expires_at` on.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        now >= self.expires_at
    }
}

/// The sliding side of a session: when it was last used, and from when on it is expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Usage {
    /// When the session was last used.
    pub used_at: SystemTime,
    /// From when on the session is expired.
    pub expires_at: SystemTime,
}

impl Usage {
    /// What a use at `now` means for this record: expiry by the idle limit, capped by the absolute one.
    #[must_use]
    pub fn at(record: &Record, now: SystemTime) -> Self {
        Self { used_at: now, expires_at: record.expires_at(now) }
    }

    /// A use at `now` that keeps something for `time`, whatever its lifetime says.
    #[must_use]
    pub fn keep_for(now: SystemTime, time: Duration) -> Self {
        Self { used_at: now, expires_at: clock::later(now, time) }
    }
}

/// What came of [`create`](super::SessionStore::create).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// The record is stored, in this version.
    Created(Version),
    /// There is a live record under this id. It is as it was.
    Exists,
}

/// What came of [`update`](super::SessionStore::update).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// The record is replaced; this is its new version.
    Updated(Version),
    /// The stored version is another one. The record is as it was.
    Conflict,
    /// There is no live record under this id, and none was made.
    Gone,
}

/// What came of [`touch`](super::SessionStore::touch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// The sliding expiry is moved.
    Touched,
    /// There is no live record under this id.
    Gone,
}

/// What came of [`end`](super::SessionStore::end).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// This call has ended the session.
    Ended,
    /// The stored version is another one. The record is as it was.
    Conflict,
    /// There is no live record under this id.
    Gone,
}

/// What came of [`rename`](super::SessionStore::rename).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rename {
    /// The record is stored under the new id in this version, and the old id has a tombstone.
    Renamed(Version),
    /// The version stored under the old id is another one. Nothing is changed.
    Conflict,
    /// There is no live record under the old id. Nothing is changed.
    Gone,
    /// There is a live record under the new id already. Nothing is changed.
    Exists,
}

/// What came of [`refresh`](super::SessionStore::refresh).
#[derive(Debug, Clone)]
pub enum Refresh {
    /// The record is what the caller holds; its use and expiry may have moved.
    Same(Usage),
    /// The record is another one.
    Changed(Stored),
    /// There is no live record.
    Gone,
}

/// What came of [`lock`](super::SessionStore::lock).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The holder has the lease until this time.
    Acquired {
        /// When the lease ends by itself.
        until: SystemTime,
    },
    /// Another holder has it.
    Held,
    /// There is no live record to lease.
    Absent,
}

/// Who holds a lease: a random number, drawn for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u128);

impl Holder {
    /// Draws a holder from the operating system's random number generator.
    ///
    /// # Errors
    ///
    /// If the operating system has no random numbers to give.
    pub fn generate() -> Result<Self, crate::id::EntropyError> {
        let (high, low) = (crate::id::random_u64()?, crate::id::random_u64()?);
        Ok(Self(u128::from(high) << 64 | u128::from(low)))
    }

    /// The holder as a number, for a store that writes it down.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// A holder read back from where a store kept it.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }
}

/// Selects the sessions that [`delete_idle`](super::SessionStore::delete_idle) removes.
///
/// A layer does not record every use: it touches a session that is only read when a fraction of its idle timeout has
/// passed ([`touch_after`](crate::SessionLayerBuilder::touch_after)). So the recorded last use can be that much too
/// early. A session is deleted only if it was idle even so.
///
/// ```
/// use std::time::Duration;
/// use session_layer::Idle;
///
/// let month = Duration::from_secs(30 * 24 * 3_600);
/// let idle = Idle::new(month).touch_after(0.5);
/// # assert_eq!(idle.unused_for(), month);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    unused_for: Duration,
    touch_after: f64,
}

impl Idle {
    /// Selects sessions that have not been used for this long, under layers with the default
    /// [`touch_after`](crate::SessionLayerBuilder::touch_after) of 0.1.
    #[must_use]
    pub const fn new(unused_for: Duration) -> Self {
        Self { unused_for, touch_after: Self::DEFAULT_TOUCH_AFTER }
    }

    /// The default fraction of the idle timeout that passes before a read touches a session.
    pub(crate) const DEFAULT_TOUCH_AFTER: f64 = 0.1;

    /// Sets the largest [`touch_after`](crate::SessionLayerBuilder::touch_after) of the layers that share the store,
    /// from 0 to 1. If it is too small, sessions that were used recently are deleted. A value outside the range is
    /// clamped.
    #[must_use]
    pub const fn touch_after(mut self, fraction_of_idle: f64) -> Self {
        // `NaN` counts as 1, which deletes fewer sessions.
        self.touch_after = if fraction_of_idle >= 0.0 {
            fraction_of_idle.min(1.0)
        } else if fraction_of_idle < 0.0 {
            0.0
        } else {
            1.0
        };
        self
    }

    /// How long a session must have been unused.
    #[must_use]
    pub const fn unused_for(&self) -> Duration {
        self.unused_for
    }

    /// Whether a session with this lifetime and recorded use is idle at `now`, even if the record of its use is as late
    /// as it can be.
    #[must_use]
    pub fn includes(&self, lifetime: Lifetime, used_at: SystemTime, now: SystemTime) -> bool {
        self.includes_millis(lifetime, clock::to_millis(used_at), clock::to_millis(now))
    }

    pub(crate) fn includes_millis(&self, lifetime: Lifetime, used_at: u64, now: u64) -> bool {
        let late = lifetime.idle_part(self.touch_after);
        used_at.saturating_add(late) <= self.cutoff(now)
    }

    /// The latest recorded use that makes a session idle, in milliseconds since the Unix epoch, if uses were recorded
    /// exactly.
    pub(crate) fn cutoff(&self, now: u64) -> u64 {
        now.saturating_sub(clock::duration_millis(self.unused_for))
    }
}

impl From<Duration> for Idle {
    fn from(unused_for: Duration) -> Self {
        Self::new(unused_for)
    }
}

/// What came of [`sweep`](super::SessionStore::sweep) and [`delete_idle`](super::SessionStore::delete_idle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many sessions were removed.
    pub deleted: u64,
    /// How many live sessions remain.
    pub remaining: u64,
}

/// Where the next page of ids begins. Only the store that made it knows what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(u64);

impl Cursor {
    /// The beginning.
    pub const START: Self = Self(0);

    /// A position of the store's choice.
    #[must_use]
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The position that the store chose; 0 at the beginning.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0
    }
}

/// Some of a store's ids, and where the others begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Ids of live sessions.
    pub ids: Vec<SessionId>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// What is known of a session beside its data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// When the absolute clock was started.
    pub created_at: SystemTime,
    /// When the session was last used, as far as the store knows.
    pub used_at: SystemTime,
    /// From when on the session is expired.
    pub expires_at: SystemTime,
    /// How often the session was loaded, where the store counts it.
    pub access_count: Option<u64>,
    /// Until when the session is leased, where it is and the store can tell.
    pub locked_until: Option<SystemTime>,
    /// Active, expired or locked.
    pub status: SessionStatus,
}

impl Metadata {
    /// What a stored record says of itself at this time.
    #[must_use]
    pub fn of(stored: &Stored, now: SystemTime) -> Self {
        Self {
            created_at: stored.record.created_at(),
            used_at: stored.used_at,
            expires_at: stored.expires_at,
            access_count: None,
            locked_until: None,
            status: if stored.is_expired(now) { SessionStatus::Expired } else { SessionStatus::Active },
        }
    }

    /// The same with how often the session was loaded.
    #[must_use]
    pub fn with_access_count(mut self, count: u64) -> Self {
        self.access_count = Some(count);
        self
    }

    /// The same with a lease that lasts until then. An expired session stays expired.
    #[must_use]
    pub fn with_lease(mut self, until: SystemTime) -> Self {
        self.locked_until = Some(until);
        if self.status == SessionStatus::Active {
            self.status = SessionStatus::Locked;
        }
        self
    }
}

/// Whether a session can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// Live, and leased by nobody.
    Active,
    /// Past its expiry, and not swept yet.
    Expired,
    /// Live, and leased.
    Locked,
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Locked => "locked",
        })
    }
}
