//! What an observer is told.

use std::{sync::Arc, time::Duration};

use super::{DropReason, NoSessionReason, Outcome};
use crate::{error::Error, id::SessionId, record::Record, store::StoreError};

/// Something happened to a session, or a store did something. An [`Observer`](crate::Observer) is told.
///
/// Never a token or an entry's value is in it, and its `Debug` shows no owner's name. The record is there where whoever
/// tells has it at hand: it is lent, not copied.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The kind of store: `memory`, `file`, `memcached`, or what a store of one's own says of itself.
    pub store: &'static str,
    /// What happened.
    pub kind: EventKind<'a>,
}

/// What happened. New kinds and new fields may come with any release.
///
/// The `tracing` events of the same name are listed on the crate's page.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// A request's cookie led to no session, or it brought none. It is told of each cookie of ours, so a request with two
    /// can have a session all the same. Also of an id that a job asked for, and of a session that was not there any more
    /// when it was asked for again.
    #[non_exhaustive]
    NoSession {
        /// Why.
        reason: NoSessionReason,
        /// The session that the cookie named.
        id: Option<SessionId>,
        /// What is stored under that id.
        record: Option<&'a Arc<Record>>,
    },
    /// A request's session was loaded.
    #[non_exhaustive]
    Loaded {
        /// The session.
        id: SessionId,
        /// As it is stored.
        record: &'a Arc<Record>,
    },
    /// A new session was stored.
    #[non_exhaustive]
    Created {
        /// The session.
        id: SessionId,
        /// As it is stored now.
        record: &'a Arc<Record>,
        /// Whether it is a login: whose, the record tells.
        login: bool,
    },
    /// A session's changes were stored.
    #[non_exhaustive]
    Saved {
        /// The session.
        id: SessionId,
        /// As it is stored now.
        record: &'a Arc<Record>,
    },
    /// A session that was only read had its expiry moved.
    #[non_exhaustive]
    Touched {
        /// The session.
        id: SessionId,
        /// As it is stored.
        record: &'a Arc<Record>,
    },
    /// A session got a new token and id: a login, or a renewal without one.
    #[non_exhaustive]
    Renewed {
        /// The id before.
        from: SessionId,
        /// The id now.
        to: SessionId,
        /// As it is stored now.
        record: &'a Arc<Record>,
        /// Whether it is a login: whose, the record tells.
        login: bool,
    },
    /// A session was ended: by its own request, from outside, or by the revocation of its owner's sessions.
    #[non_exhaustive]
    Destroyed {
        /// The session.
        id: SessionId,
    },
    /// All sessions of an owner were revoked, or all but one.
    #[non_exhaustive]
    OwnerRevoked {
        /// The one that was kept.
        kept: Option<SessionId>,
        /// How many were removed at once. The others can't be loaded any more and expire unused.
        removed: u64,
    },
    /// A store has let go of a session that had expired. Not told of are those that the backend drops by itself
    /// (memcached), and in the file store those that are replaced or removed before the sweep finds them.
    #[non_exhaustive]
    Expired {
        /// The session.
        id: SessionId,
        /// As it was stored, where the store has it (memory).
        record: Option<&'a Arc<Record>>,
    },
    /// A full store has let go of a live session.
    #[non_exhaustive]
    Evicted {
        /// The session.
        id: SessionId,
        /// As it was stored.
        record: &'a Arc<Record>,
    },
    /// A store has swept, by itself or when told to.
    #[non_exhaustive]
    Swept {
        /// How many sessions were removed.
        deleted: u64,
        /// How many live ones remain.
        remaining: u64,
    },
    /// Another request had changed the session, and the changes of both are kept.
    #[non_exhaustive]
    ConflictMerged {
        /// The session.
        id: SessionId,
        /// As it is stored now.
        record: &'a Arc<Record>,
        /// How often it was tried, the last time included.
        tries: u32,
    },
    /// Changes were refused because their session is gone or was superseded: it was not brought back.
    #[non_exhaustive]
    WriteBlocked {
        /// The session.
        id: SessionId,
        /// Of kind [`Gone`](crate::ErrorKind::Gone) or [`Superseded`](crate::ErrorKind::Superseded).
        error: &'a Error,
    },
    /// A request brought the cookies of two live sessions: one of them may have been planted. It is refused.
    #[non_exhaustive]
    TwoLiveCookies {
        /// The session of the first cookie.
        first: SessionId,
        /// That of the other one.
        second: SessionId,
    },
    /// Changes of a request were not saved.
    #[non_exhaustive]
    ChangesDropped {
        /// The session, if it is stored at all.
        id: Option<SessionId>,
        /// Why the changes were dropped.
        reason: DropReason,
    },
    /// A handler answered with an error of this crate that is a server error. The visitor sees only the status.
    #[non_exhaustive]
    HandlerFailed {
        /// The error. It names the entry and the type, or the session.
        error: &'a Error,
    },
    /// A record could not be opened when a request asked for it: it is damaged, or no key opens it. It stays as it is.
    #[non_exhaustive]
    Damaged {
        /// The session.
        id: SessionId,
        /// Of kind [`Corrupt`](crate::StoreErrorKind::Corrupt).
        error: &'a StoreError,
    },
    /// A request's session could not be loaded.
    #[non_exhaustive]
    LoadFailed {
        /// The session.
        id: SessionId,
        /// What the store said.
        error: &'a StoreError,
    },
    /// A request's changes, or the end of its session, could not be stored.
    #[non_exhaustive]
    CommitFailed {
        /// The session, if it was stored before.
        id: Option<SessionId>,
        /// Why.
        error: &'a Error,
    },
    /// A request did not get its turn of a session, with [`exclusive`](crate::SessionLayerBuilder::exclusive): it is
    /// answered 423.
    #[non_exhaustive]
    TurnRefused {
        /// The session.
        id: SessionId,
        /// In lower case: `too many wait` or `waited too long`.
        reason: &'static str,
    },
    /// A request's turn is over and its lease could not be given back. It ends at its time; until then others wait.
    #[non_exhaustive]
    ReleaseFailed {
        /// The session.
        id: SessionId,
        /// What the store said.
        error: &'a StoreError,
    },
    /// A login was refused: its owner has as many sessions as
    /// [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner) allows.
    #[non_exhaustive]
    LoginRefused {
        /// How many are allowed.
        most: usize,
    },
    /// The expiry of a session that was only read could not be moved. Its request is answered as if it had been.
    #[non_exhaustive]
    TouchFailed {
        /// The session.
        id: SessionId,
        /// What the store said.
        error: &'a StoreError,
    },
    /// A layer is nested in another one with the same cookie name, and does nothing. Told once.
    #[non_exhaustive]
    NestedLayer {
        /// The cookie's name.
        cookie: &'a str,
    },
    /// A session was created for a request that seems to have come over plain HTTP, and its cookie is `Secure` by
    /// default. Most browsers drop such a cookie, so the visitor stays anonymous. Reported once for each layer. See
    /// [`CookieConfig::secure`](crate::CookieConfig::secure).
    #[non_exhaustive]
    SecureCookieOverHttp {
        /// The cookie's name.
        cookie: &'a str,
    },
    /// A store was called and has answered. Told of every call that a layer, or [`Sessions`](crate::Sessions), makes.
    ///
    /// It is told before what the call led to: first the operation `create`, then [`Created`](Self::Created); and after
    /// what the store did meanwhile, such as evicting. It is not traced, since the stores trace their calls themselves.
    #[non_exhaustive]
    Operation {
        /// The method of [`SessionStore`](crate::SessionStore) by its name, such as `load`.
        operation: &'static str,
        /// What came of it.
        outcome: Outcome<'a>,
        /// How long it took, by the runtime's monotonic clock.
        duration: Duration,
        /// Which session it was about. None for calls about owners and about all sessions.
        id: Option<SessionId>,
        /// What was loaded or was to be stored.
        record: Option<&'a Arc<Record>>,
        /// How many sessions were counted (`count`), removed (`clear`, `sweep`, `delete_idle`) or listed
        /// (`list_owner`, `ids`).
        sessions: Option<u64>,
    },
    /// A store found that the bytes under an id are no record, or that no key opens them.
    #[non_exhaustive]
    NotOpened {
        /// The session.
        id: SessionId,
        /// What was being done, such as `load`.
        operation: &'static str,
        /// Why.
        error: &'a StoreError,
    },
    /// A cache had the session.
    #[non_exhaustive]
    CacheHit {
        /// The session.
        id: SessionId,
        /// Whether the store was asked if it is still the present one.
        validated: bool,
    },
    /// A cache had to load the session.
    #[non_exhaustive]
    CacheMiss {
        /// The session.
        id: SessionId,
    },
    /// A full cache has let go of sessions, which the store behind it keeps.
    #[non_exhaustive]
    CacheEvicted {
        /// How many.
        sessions: u64,
    },
}

impl<'a> Event<'a> {
    /// The event's name, such as `created`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The session that it is about; after a renewal, the new id.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.kind.id()
    }

    /// The record, where whoever tells has it.
    #[must_use]
    pub fn record(&self) -> Option<&'a Arc<Record>> {
        self.kind.record()
    }
}

impl<'a> EventKind<'a> {
    /// The event's name, such as `created`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoSession { .. } => "no_session",
            Self::Loaded { .. } => "loaded",
            Self::Created { .. } => "created",
            Self::Saved { .. } => "saved",
            Self::Touched { .. } => "touched",
            Self::Renewed { .. } => "renewed",
            Self::Destroyed { .. } => "destroyed",
            Self::OwnerRevoked { .. } => "owner_revoked",
            Self::Expired { .. } => "expired",
            Self::Evicted { .. } => "evicted",
            Self::Swept { .. } => "swept",
            Self::ConflictMerged { .. } => "conflict_merged",
            Self::WriteBlocked { .. } => "write_blocked",
            Self::TwoLiveCookies { .. } => "two_live_cookies",
            Self::ChangesDropped { .. } => "changes_dropped",
            Self::HandlerFailed { .. } => "handler_failed",
            Self::Damaged { .. } => "damaged",
            Self::LoadFailed { .. } => "load_failed",
            Self::CommitFailed { .. } => "commit_failed",
            Self::TurnRefused { .. } => "turn_refused",
            Self::ReleaseFailed { .. } => "release_failed",
            Self::LoginRefused { .. } => "login_refused",
            Self::TouchFailed { .. } => "touch_failed",
            Self::NestedLayer { .. } => "nested_layer",
            Self::SecureCookieOverHttp { .. } => "secure_cookie_over_http",
            Self::Operation { .. } => "operation",
            Self::NotOpened { .. } => "not_opened",
            Self::CacheHit { .. } => "cache_hit",
            Self::CacheMiss { .. } => "cache_miss",
            Self::CacheEvicted { .. } => "cache_evicted",
        }
    }

    /// The session that it is about; after a renewal, the new id.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        match *self {
            Self::NoSession { id, .. } | Self::ChangesDropped { id, .. } | Self::CommitFailed { id, .. } => id,
            Self::Operation { id, .. } | Self::OwnerRevoked { kept: id, .. } => id,
            Self::Loaded { id, .. }
            | Self::Created { id, .. }
            | Self::Saved { id, .. }
            | Self::Touched { id, .. }
            | Self::Renewed { to: id, .. }
            | Self::Destroyed { id }
            | Self::Expired { id, .. }
            | Self::Evicted { id, .. }
            | Self::ConflictMerged { id, .. }
            | Self::WriteBlocked { id, .. }
            | Self::TwoLiveCookies { first: id, .. }
            | Self::Damaged { id, .. }
            | Self::LoadFailed { id, .. }
            | Self::TouchFailed { id, .. }
            | Self::TurnRefused { id, .. }
            | Self::ReleaseFailed { id, .. }
            | Self::NotOpened { id, .. }
            | Self::CacheHit { id, .. }
            | Self::CacheMiss { id } => Some(id),
            Self::HandlerFailed { error } => error.session_id(),
            Self::Swept { .. } | Self::LoginRefused { .. } | Self::NestedLayer { .. } | Self::CacheEvicted { .. } => {
                None
            }
            Self::SecureCookieOverHttp { .. } => None,
        }
    }

    /// The record, where whoever tells has it.
    #[must_use]
    pub fn record(&self) -> Option<&'a Arc<Record>> {
        match *self {
            Self::NoSession { record, .. } | Self::Expired { record, .. } | Self::Operation { record, .. } => record,
            Self::Loaded { record, .. }
            | Self::Created { record, .. }
            | Self::Saved { record, .. }
            | Self::Touched { record, .. }
            | Self::Renewed { record, .. }
            | Self::Evicted { record, .. }
            | Self::ConflictMerged { record, .. } => Some(record),
            _ => None,
        }
    }
}
