//! The arguments and results of store operations.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Version, small::SmallBytes};
use crate::{
    clock,
    id::SessionId,
    lifetime::Lifetime,
    record::{Epoch, Record},
};

/// A record as stored: with its version, its last use and its sliding expiry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stored {
    /// The record, shared.
    pub record: Arc<Record>,
    /// The version of this state, which an update must name.
    pub version: Version,
    /// When the session was last used: created, updated or touched.
    pub used_at: SystemTime,
    /// From when on the session is expired. Never later than the record's absolute limit.
    pub expires_at: SystemTime,
    /// The current epoch of the record's owner, if the store read it along with the record or after it.
    pub owner_epoch: OwnerEpoch,
}

/// The current epoch of a record's owner, if a store has read it along with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnerEpoch {
    /// It was not read: call [`owner_epoch`](super::SessionStore::owner_epoch).
    #[default]
    NotAsked,
    /// The owner has none, so every session of the owner is revoked.
    Absent,
    /// The owner has this epoch.
    Present(Epoch),
}

impl From<Option<Epoch>> for OwnerEpoch {
    fn from(epoch: Option<Epoch>) -> Self {
        epoch.map_or(Self::Absent, Self::Present)
    }
}

/// An owner's session, as listed by [`list_owner`](super::Owners::list_owner).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListedSession {
    /// The session's id.
    pub id: SessionId,
    /// The record, if the store has it at hand. If it is `None`, a caller that needs the record loads it.
    pub stored: Option<Stored>,
}

impl ListedSession {
    /// A session without its record.
    #[must_use]
    pub fn new(id: SessionId) -> Self {
        Self { id, stored: None }
    }

    /// Adds the record.
    #[must_use]
    pub fn with_stored(mut self, stored: Stored) -> Self {
        self.stored = Some(stored);
        self
    }
}

impl Stored {
    /// Creates a stored record. The expiry is capped by the record's absolute limit.
    #[must_use]
    pub fn new(record: Arc<Record>, version: Version, usage: Usage) -> Self {
        let expires_at = usage.expires_at.min(record.absolute_limit());
        Self { record, version, used_at: usage.used_at, expires_at, owner_epoch: OwnerEpoch::NotAsked }
    }

    /// Adds the current epoch of the record's owner, read with the record or after it. Don't cache it: it is valid only
    /// for the call that read it.
    #[must_use]
    pub fn with_owner_epoch(mut self, epoch: impl Into<OwnerEpoch>) -> Self {
        self.owner_epoch = epoch.into();
        self
    }

    /// The last use and the sliding expiry.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { used_at: self.used_at, expires_at: self.expires_at }
    }

    /// Whether the session is expired at this time: true from `expires_at` on.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        now >= self.expires_at
    }

    /// Whether the session is live at this time: before its sliding expiry and its absolute limit. Doesn't rely on the
    /// store to have capped the expiry.
    pub(crate) fn is_live(&self, now: SystemTime) -> bool {
        !self.is_expired(now) && now < self.record.absolute_limit()
    }
}

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

/// The outcome of [`create`](super::SessionStore::create).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// The record was stored in this version.
    Created(Version),
    /// There is a live record under this id. It stays as it is.
    Exists,
}

/// The outcome of [`update`](super::SessionStore::update).
///
/// Outcomes are equal if they are of the same kind and have the same version: the record that a conflict may carry is
/// not compared.
#[derive(Clone)]
pub enum Update {
    /// The record was replaced. This is its new version.
    Updated(Version),
    /// The stored version is another one, and the record stays as it is. A store that has the stored record at hand
    /// returns it, which saves the caller a load.
    Conflict(Option<Stored>),
    /// There is no live record under this id, and none was created.
    Gone,
}

impl PartialEq for Update {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Updated(version), Self::Updated(other)) => version == other,
            (Self::Conflict(_), Self::Conflict(_)) | (Self::Gone, Self::Gone) => true,
            _ => false,
        }
    }
}

impl Eq for Update {}

/// Omits the record that a conflict may carry.
impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updated(version) => f.debug_tuple("Updated").field(version).finish(),
            Self::Conflict(_) => f.write_str("Conflict"),
            Self::Gone => f.write_str("Gone"),
        }
    }
}

/// The outcome of [`touch`](super::SessionStore::touch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// The last use and the sliding expiry were moved.
    Touched,
    /// There is no live record under this id.
    Gone,
}

/// The outcome of [`end`](super::SessionStore::end). Two conflicts are equal, whatever records they carry.
#[derive(Clone)]
pub enum End {
    /// This call ended the session.
    Ended,
    /// The stored version is another one, and the record stays as it is. It is returned if the store has it at hand.
    Conflict(Option<Stored>),
    /// There is no live record under this id.
    Gone,
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Ended, Self::Ended) | (Self::Conflict(_), Self::Conflict(_)) | (Self::Gone, Self::Gone)
        )
    }
}

impl Eq for End {}

/// Omits the record that a conflict may carry.
impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "Ended",
            Self::Conflict(_) => "Conflict",
            Self::Gone => "Gone",
        })
    }
}

/// The outcome of [`rename`](super::SessionStore::rename). Two conflicts are equal, whatever records they carry.
#[derive(Clone)]
pub enum Rename {
    /// The record was stored under the new id in this version, and the old id has a tombstone.
    Renamed(Version),
    /// The version stored under the old id is another one. Nothing was changed. The record stored there is returned if
    /// the store has it at hand.
    Conflict(Option<Stored>),
    /// There is no live record under the old id. Nothing was changed.
    Gone,
    /// There is already a live record under the new id. Nothing was changed.
    Exists,
}

impl PartialEq for Rename {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Renamed(version), Self::Renamed(other)) => version == other,
            (Self::Conflict(_), Self::Conflict(_)) | (Self::Gone, Self::Gone) | (Self::Exists, Self::Exists) => true,
            _ => false,
        }
    }
}

impl Eq for Rename {}

/// Omits the record that a conflict may carry.
impl fmt::Debug for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed(version) => f.debug_tuple("Renamed").field(version).finish(),
            Self::Conflict(_) => f.write_str("Conflict"),
            Self::Gone => f.write_str("Gone"),
            Self::Exists => f.write_str("Exists"),
        }
    }
}

/// The outcome of [`refresh`](super::SessionStore::refresh).
#[derive(Debug, Clone)]
pub enum Refresh {
    /// The record is the one that the caller holds. Its last use and expiry may have moved.
    Same {
        /// The current last use and expiry.
        usage: Usage,
        /// The current epoch of the record's owner, as in [`Stored::owner_epoch`].
        owner_epoch: OwnerEpoch,
    },
    /// The record has changed.
    Changed(Stored),
    /// There is no live record.
    Gone,
}

/// The outcome of [`acquire`](super::Leases::acquire).
#[derive(Clone)]
pub enum Acquire {
    /// The holder has the lease until this time.
    Acquired {
        /// When the lease ends by itself.
        until: SystemTime,
        /// The record in the version that taking the lease gave it, if the store has it at hand. It saves the caller a
        /// load.
        stored: Option<Stored>,
    },
    /// Another holder has the lease.
    Held,
    /// There is no live record to lease.
    Absent,
}

/// Outcomes are equal if they are of the same kind and end at the same time: the record is not compared.
impl PartialEq for Acquire {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Acquired { until, .. }, Self::Acquired { until: other, .. }) => until == other,
            (Self::Held, Self::Held) | (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

impl Eq for Acquire {}

impl Acquire {
    /// The holder has the lease until this time. The record is not at hand.
    #[must_use]
    pub const fn acquired(until: SystemTime) -> Self {
        Self::Acquired { until, stored: None }
    }
}

/// Omits the record that may come with the lease.
impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired { until, .. } => f.debug_struct("Acquired").field("until", until).finish(),
            Self::Held => f.write_str("Held"),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

/// The holder of a lease: a random number, drawn for each holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u128);

impl Holder {
    /// Draws a holder from the operating system's random number generator.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn generate() -> Result<Self, crate::id::EntropyError> {
        let (high, low) = (crate::id::random_u64()?, crate::id::random_u64()?);
        Ok(Self(u128::from(high) << 64 | u128::from(low)))
    }

    /// The holder as a number, for a store that saves it.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// The holder of this number, for a store that has saved it.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }
}

/// Selects the sessions that [`delete_idle`](super::Listing::delete_idle) removes.
///
/// A layer does not record every use: it touches a session that is only read once a fraction of its idle timeout has
/// passed ([`touch_fraction`](crate::SessionLayerBuilder::touch_fraction)). So the recorded last use can be too early by that
/// much. A session is deleted only if it was idle even so.
///
/// ```
/// use std::time::Duration;
/// use session_layer::store::Idle;
///
/// let month = Duration::from_secs(30 * 24 * 3_600);
/// let idle = Idle::new(month).touch_fraction(0.5);
/// # assert_eq!(idle.unused_for(), month);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    unused_for: Duration,
    touch_fraction: f64,
}

impl Idle {
    /// Selects sessions that have not been used for this long, under layers with the default
    /// [`touch_fraction`](crate::SessionLayerBuilder::touch_fraction) of 0.1.
    #[must_use]
    pub const fn new(unused_for: Duration) -> Self {
        Self { unused_for, touch_fraction: Self::DEFAULT_TOUCH_AFTER }
    }

    /// The default fraction of the idle timeout that passes before a read touches a session.
    pub(crate) const DEFAULT_TOUCH_AFTER: f64 = 0.1;

    /// Sets the largest [`touch_fraction`](crate::SessionLayerBuilder::touch_fraction) of the layers that share the store,
    /// from 0 to 1. If it is too small, sessions that were used recently are deleted. A value outside the range is
    /// clamped.
    #[must_use]
    pub const fn touch_fraction(mut self, fraction_of_idle: f64) -> Self {
        // `NaN` counts as 1, which deletes fewer sessions.
        self.touch_fraction = if fraction_of_idle >= 0.0 {
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

    /// Whether a session with this lifetime and recorded last use is idle at `now`, even if it was used as long after
    /// that as [`touch_fraction`](Self::touch_fraction) allows.
    #[must_use]
    pub fn includes(&self, lifetime: Lifetime, used_at: SystemTime, now: SystemTime) -> bool {
        self.includes_millis(lifetime, clock::to_millis(used_at), clock::to_millis(now))
    }

    pub(crate) fn includes_millis(&self, lifetime: Lifetime, used_at: u64, now: u64) -> bool {
        let late = lifetime.idle_part(self.touch_fraction);
        used_at.saturating_add(late) <= self.cutoff(now)
    }

    /// The latest time of last use with which a session is idle, in milliseconds since the Unix epoch, if every use
    /// were recorded.
    pub(crate) fn cutoff(&self, now: u64) -> u64 {
        now.saturating_sub(clock::duration_millis(self.unused_for))
    }
}

impl From<Duration> for Idle {
    fn from(unused_for: Duration) -> Self {
        Self::new(unused_for)
    }
}

/// The outcome of [`sweep`](super::Listing::sweep) and [`delete_idle`](super::Listing::delete_idle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many sessions were removed.
    pub deleted: u64,
    /// How many live sessions remain.
    pub remaining: u64,
}

/// Where the next page of ids begins: at most 31 bytes, opaque to everyone but the store that made them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor(SmallBytes);

impl Cursor {
    /// The beginning: no bytes.
    pub const START: Self = Self(SmallBytes::EMPTY);

    /// Creates a position from a number.
    #[must_use]
    pub const fn from_u64(position: u64) -> Self {
        Self(SmallBytes::from_u64(position))
    }

    /// Creates a position from at most 31 bytes; `None` if there are more.
    #[must_use]
    pub fn from_bytes(position: &[u8]) -> Option<Self> {
        SmallBytes::from_bytes(position).map(Self)
    }

    /// The number that was given to [`from_u64`](Self::from_u64); `None` at the beginning, or if the cursor was not
    /// made from a number.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        self.0.to_u64()
    }

    /// The bytes of the position; none at the beginning.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this is the beginning.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::START
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({:02x?})", self.as_bytes())
    }
}

/// A page of a store's ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Ids of live sessions.
    pub ids: Vec<SessionId>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

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
