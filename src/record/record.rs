//! The stored form of a session.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::{Entries, Owner, RecordKind, reserved::is_reserved};
use crate::{
    clock,
    id::{EntropyError, TokenCheck},
    lifetime::{CookieLifetime, Lifetime},
};

/// How long a login's tombstone lives. Until then, requests with the old token are answered as superseded.
pub const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(60);

/// The stored form of a session, immutable and shared as `Arc<Record>`.
///
/// The *sliding* expiry is not part of it. The store manages that separately (see [`Stored`](crate::store::Stored)), so
/// that a touch never rewrites a record. Times are whole milliseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(super) kind: RecordKind,
    pub(super) created_millis: u64,
    pub(super) lifetime: Lifetime,
    pub(super) check: TokenCheck,
    pub(super) owner: Option<Owner>,
    pub(super) entries: Entries,
}

impl Record {
    /// Creates an empty session, created at this time.
    #[must_use]
    pub fn session(check: TokenCheck, created_at: SystemTime, lifetime: Lifetime) -> Self {
        Self {
            kind: RecordKind::Session,
            created_millis: clock::to_millis(created_at),
            lifetime,
            check,
            owner: None,
            entries: Entries::default(),
        }
    }

    /// Creates an empty tombstone, which lives for [`TOMBSTONE_LIFETIME`]. A layer uses
    /// [`tombstone`](Self::tombstone) instead, whose tombstones are unique.
    #[must_use]
    pub fn plain_tombstone(check: TokenCheck, at: SystemTime) -> Self {
        let millis = clock::duration_millis(TOMBSTONE_LIFETIME);
        Self {
            kind: RecordKind::Tombstone,
            ..Self::session(check, at, Lifetime::from_millis(millis, millis, CookieLifetime::Browser))
        }
    }

    /// Creates a tombstone that no token matches. It ends the session whose record it replaces: late requests find no
    /// session. It lives for [`TOMBSTONE_LIFETIME`], and its random bytes distinguish it from every other.
    ///
    /// # Errors
    ///
    /// If the operating system provides no random numbers.
    pub fn grave(at: SystemTime) -> Result<Self, EntropyError> {
        Self::tombstone(Self::NO_TOKEN, at, TOMBSTONE_LIFETIME, None)
    }

    /// Whether this is a [`grave`](Self::grave), which means that the session stored here has ended.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.kind == RecordKind::Tombstone && self.check == Self::NO_TOKEN
    }

    /// A check that no token has.
    const NO_TOKEN: TokenCheck = TokenCheck::from_bytes([0; 16]);

    /// Creates the record of an owner's current epoch. Its lifetime is the longest possible, since it must outlive the
    /// owner's sessions.
    #[must_use]
    pub fn epoch(owner: Owner, at: SystemTime) -> Self {
        let forever = clock::duration_millis(Duration::MAX);
        let lifetime = Lifetime::from_millis(forever, forever, CookieLifetime::Browser);
        Self { kind: RecordKind::Epoch, owner: Some(owner), ..Self::session(Self::NO_TOKEN, at, lifetime) }
    }

    /// The same record with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: RecordKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same record with these entries.
    #[must_use]
    pub fn with_entries(mut self, entries: Entries) -> Self {
        self.entries = entries;
        self
    }

    /// The same record with this owner, or with none.
    #[must_use]
    pub fn with_owner(mut self, owner: Option<Owner>) -> Self {
        self.owner = owner;
        self
    }

    /// The same record with this lifetime.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The same record with the check of another token.
    #[must_use]
    pub fn with_check(mut self, check: TokenCheck) -> Self {
        self.check = check;
        self
    }

    /// The same record with the absolute clock started at this time.
    #[must_use]
    pub fn with_created_at(mut self, at: SystemTime) -> Self {
        self.created_millis = clock::to_millis(at);
        self
    }

    /// The record's kind.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Whether this is a session, sealed or not, as opposed to a tombstone or an epoch. Listings and counts include
    /// sessions only.
    #[must_use]
    pub fn is_session(&self) -> bool {
        matches!(self.kind, RecordKind::Session | RecordKind::Sealed)
    }

    /// When the absolute clock was started: at creation, and again at each login.
    #[must_use]
    pub fn created_at(&self) -> SystemTime {
        clock::from_millis(self.created_millis)
    }

    /// [`created_at`](Self::created_at) in milliseconds since the Unix epoch.
    #[cfg_attr(not(feature = "encryption"), allow(dead_code, reason = "sealing binds the number"))]
    pub(crate) fn created_millis(&self) -> u64 {
        self.created_millis
    }

    /// Returns a record with this kind, owner and entries, and with this record's times, lifetime and check.
    #[cfg_attr(not(feature = "encryption"), allow(dead_code, reason = "only a sealed record stands for another"))]
    pub(crate) fn opened(&self, kind: RecordKind, owner: Option<Owner>, entries: Entries) -> Self {
        let &Self { created_millis, lifetime, check, .. } = self;
        Self { kind, created_millis, lifetime, check, owner, entries }
    }

    /// How long the session lives.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The check: the half of the token's hash that is not the id.
    #[must_use]
    pub fn check(&self) -> TokenCheck {
        self.check
    }

    /// The session's owner.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// The encoded values.
    #[must_use]
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Whether this record holds the same session as far as the application can see: entries, owner, lifetime and
    /// creation time. The id, the token and the time of a renewal may differ.
    pub(crate) fn has_data_of(&self, other: &Self) -> bool {
        let own = |(key, _): &(&str, &[u8])| !is_reserved(key);
        self.owner() == other.owner()
            && self.lifetime() == other.lifetime()
            && self.created_at() == other.created_at()
            && self.entries().iter().filter(own).eq(other.entries().iter().filter(own))
    }

    /// When the absolute limit is reached.
    #[must_use]
    pub fn absolute_limit(&self) -> SystemTime {
        clock::from_millis(self.limit_millis())
    }

    /// [`absolute_limit`](Self::absolute_limit) in milliseconds since the Unix epoch.
    pub(crate) fn limit_millis(&self) -> u64 {
        self.lifetime.limit_millis(self.created_millis)
    }

    /// [`expires_at`](Self::expires_at) in milliseconds since the Unix epoch.
    pub(crate) fn expiry_millis(&self, used_millis: u64) -> u64 {
        self.lifetime.expiry_millis(self.created_millis, used_millis)
    }

    /// When the session expires if it is used at this time and not again.
    #[must_use]
    pub fn expires_at(&self, used_at: SystemTime) -> SystemTime {
        clock::from_millis(self.expiry_millis(clock::to_millis(used_at)))
    }
}

/// Shows only keys and sizes, since values are the application's secrets.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("kind", &self.kind)
            .field("created_at", &self.created_at())
            .field("lifetime", &self.lifetime)
            .field("owner", &self.owner)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
