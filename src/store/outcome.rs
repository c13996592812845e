//! The outcomes of store operations.

use std::{fmt, time::SystemTime};

use super::{OwnerEpoch, Stored, Tracked, Usage, Version};

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
        /// As [`Stored::tracked`].
        tracked: Option<Tracked>,
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
