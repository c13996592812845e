//! A record as a store returns it.

use std::{sync::Arc, time::SystemTime};

use super::{Tracked, Usage, Version};
use crate::{
    id::SessionId,
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
    /// Tells whether this is still the stored state, if the store can.
    pub tracked: Option<Tracked>,
}

impl Stored {
    /// Creates a stored record. The expiry is capped by the record's absolute limit.
    #[must_use]
    pub fn new(record: Arc<Record>, version: Version, usage: Usage) -> Self {
        let expires_at = usage.expires_at.min(record.absolute_limit());
        Self { record, version, used_at: usage.used_at, expires_at, owner_epoch: OwnerEpoch::NotAsked, tracked: None }
    }

    /// Adds the current epoch of the record's owner, read with the record or after it. Don't cache it: it is valid only
    /// for the call that read it.
    #[must_use]
    pub fn with_owner_epoch(mut self, epoch: impl Into<OwnerEpoch>) -> Self {
        self.owner_epoch = epoch.into();
        self
    }

    /// Adds what tells whether this is still the stored state.
    #[must_use]
    pub fn with_tracked(mut self, tracked: impl Into<Option<Tracked>>) -> Self {
        self.tracked = tracked.into();
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
