//! What goes into a store and what comes out.

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
    /// The present epoch of the record's owner, if the store has read it along with the record, and no earlier.
    pub owner_epoch: OwnerEpoch,
}

/// The present epoch of a record's owner, as far as a store has read it along with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnerEpoch {
    /// It was not read: ask [`owner_epoch`](super::SessionStore::owner_epoch).
    #[default]
    NotAsked,
    /// The owner has none, so every session of the owner is revoked.
    Absent,
    /// The owner has this one.
    Present(Epoch),
}

impl From<Option<Epoch>> for OwnerEpoch {
    fn from(epoch: Option<Epoch>) -> Self {
        epoch.map_or(Self::Absent, Self::Present)
    }
}

/// An owner's session, as [`list_owner`](super::Owners::list_owner) names it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Owned {
    /// The session's id.
    pub id: SessionId,
    /// The record, if the store has it at hand. A caller who needs it and finds none loads it.
    pub stored: Option<Stored>,
}

impl Owned {
    /// A session of which only the id is at hand.
    #[must_use]
    pub fn new(id: SessionId) -> Self {
        Self { id, stored: None }
    }

    /// The same with its record.
    #[must_use]
    pub fn with_stored(mut self, stored: Stored) -> Self {
        self.stored = Some(stored);
        self
    }
}

impl Stored {
    /// A stored record. The expiry is capped by the record's absolute limit.
    #[must_use]
    pub fn new(record: Arc<Record>, version: Version, usage: Usage) -> Self {
        let expires_at = usage.expires_at.min(record.absolute_limit());
        Self { record, version, used_at: usage.used_at, expires_at, owner_epoch: OwnerEpoch::NotAsked }
    }

    /// The same with the present epoch of the record's owner, read with the record or after it. Don't keep it: it is true
    /// for the call that read it.
    #[must_use]
    pub fn with_owner_epoch(mut self, epoch: impl Into<OwnerEpoch>) -> Self {
        self.owner_epoch = epoch.into();
        self
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

    /// Last use and expiry from milliseconds since the Unix epoch, as a store may keep them.
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

    /// A use at `now` that keeps something for `time`, whatever its lifetime says.
    #[must_use]
    pub fn keep_for(now: SystemTime, time: Duration) -> Self {
        Self { used_at: now, expires_at: clock::later(now, time) }
    }
}

/// The outcome of [`create`](super::SessionStore::create).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// The record is stored, in this version.
    Created(Version),
    /// There is a live record under this id. It is as it was.
    Exists,
}

/// The outcome of [`update`](super::SessionStore::update).
///
/// Outcomes are equal if they are of one kind and have one version: the record that a conflict may carry is not compared.
#[derive(Clone)]
pub enum Update {
    /// The record is replaced; this is its new version.
    Updated(Version),
    /// The stored version is another one, and the record is as it was. A store that has the stored record at hand answers
    /// it, which saves the caller a load.
    Conflict(Option<Stored>),
    /// There is no live record under this id, and none was made.
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

/// Without the record that a conflict may carry.
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
    /// The sliding expiry is moved.
    Touched,
    /// There is no live record under this id.
    Gone,
}

/// The outcome of [`end`](super::SessionStore::end). Two conflicts are equal, whatever record they carry.
#[derive(Clone)]
pub enum End {
    /// This call has ended the session.
    Ended,
    /// The stored version is another one, and the record is as it was. It is answered if the store has it at hand.
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

/// Without the record that a conflict may carry.
impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "Ended",
            Self::Conflict(_) => "Conflict",
            Self::Gone => "Gone",
        })
    }
}

/// The outcome of [`rename`](super::SessionStore::rename). Two conflicts are equal, whatever record they carry.
#[derive(Clone)]
pub enum Rename {
    /// The record is stored under the new id in this version, and the old id has a tombstone.
    Renamed(Version),
    /// The version stored under the old id is another one. Nothing is changed. The record stored there is answered if the
    /// store has it at hand.
    Conflict(Option<Stored>),
    /// There is no live record under the old id. Nothing is changed.
    Gone,
    /// There is a live record under the new id already. Nothing is changed.
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

/// Without the record that a conflict may carry.
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
    /// The record is what the caller holds; its use and expiry may have moved.
    Same {
        /// The present last use and expiry.
        usage: Usage,
        /// The present epoch of the record's owner, as in [`Stored::owner_epoch`].
        owner_epoch: OwnerEpoch,
    },
    /// The record is another one.
    Changed(Stored),
    /// There is no live record.
    Gone,
}

/// The outcome of [`lock`](super::Leases::lock).
#[derive(Clone)]
pub enum Lock {
    /// The holder has the lease until this time.
    Acquired {
        /// When the lease ends by itself.
        until: SystemTime,
        /// The record under the lease, in the version that taking it gave, if the store has it at hand. It saves the caller a
        /// load.
        stored: Option<Stored>,
    },
    /// Another holder has it.
    Held,
    /// There is no live record to lease.
    Absent,
}

/// Equal if they are of one kind and end at one time, whatever record they carry.
impl PartialEq for Lock {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Acquired { until, .. }, Self::Acquired { until: other, .. }) => until == other,
            (Self::Held, Self::Held) | (Self::Absent, Self::Absent) => true,
            _ => false,
        }
    }
}

impl Eq for Lock {}

impl Lock {
    /// The holder has the lease until this time; the record is not at hand.
    #[must_use]
    pub const fn acquired(until: SystemTime) -> Self {
        Self::Acquired { until, stored: None }
    }
}

/// Without the record that may come with the lease.
impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired { until, .. } => f.debug_struct("Acquired").field("until", until).finish(),
            Self::Held => f.write_str("Held"),
            Self::Absent => f.write_str("Absent"),
        }
    }
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

/// Selects the sessions that [`delete_idle`](super::Listing::delete_idle) removes.
///
/// A layer does not record every use: it touches a session that is only read when a fraction of its idle timeout has
/// passed ([`touch_after`](crate::SessionLayerBuilder::touch_after)). So the recorded last use can be that much too
/// early. A session is deleted only if it was idle even so.
///
/// ```
/// use std::time::Duration;
/// use session_layer::store::Idle;
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
        used_at.saturating_add(self.late(lifetime)) <= self.cutoff(now)
    }

    /// How much later than recorded a session with this lifetime can have been used, in milliseconds.
    pub(crate) fn late(&self, lifetime: Lifetime) -> u64 {
        lifetime.idle_part(self.touch_after)
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

/// The outcome of [`sweep`](super::Listing::sweep) and [`delete_idle`](super::Listing::delete_idle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many sessions were removed.
    pub deleted: u64,
    /// How many live sessions remain.
    pub remaining: u64,
}

/// Where the next page of ids begins: at most 31 bytes, which only the store that made them understands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor(SmallBytes);

impl Cursor {
    /// The beginning: no bytes.
    pub const START: Self = Self(SmallBytes::EMPTY);

    /// A position that is a number.
    #[must_use]
    pub const fn from_u64(position: u64) -> Self {
        Self(SmallBytes::from_u64(position))
    }

    /// A position of at most 31 bytes; `None` for more.
    #[must_use]
    pub fn from_bytes(position: &[u8]) -> Option<Self> {
        SmallBytes::from_bytes(position).map(Self)
    }

    /// The number that [`from_u64`](Self::from_u64) was given; `None` if the cursor was not made from one, and at the
    /// beginning.
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
