//! The kinds of events.

use std::{sync::Arc, time::Duration};

use super::{DropReason, NoSessionReason, Outcome};
use crate::{error::Error, id::SessionId, record::Record, store::StoreError};

/// The kinds of events. New kinds and new fields may come with any release.
///
/// The `tracing` events of the same name are listed on the crate's page.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// A request has no session: it brought no cookie, or its cookie leads to none. Reported for each cookie of this
    /// name, so a request with two can have a session all the same. Also reported for an id that a job asked for, and
    /// for a session that had ended when it was loaded again.
    #[non_exhaustive]
    NoSession {
        /// The reason.
        reason: NoSessionReason,
        /// The session that the cookie named.
        id: Option<SessionId>,
        /// The record stored under that id.
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
        /// Whether it is a login. The record has the owner.
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
        /// Whether it is a login. The record has the owner.
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
        /// How many were removed right away. The others can no longer be loaded, and expire.
        removed: u64,
    },
    /// A store has removed an expired session. Not reported: sessions that the backend removes by itself (memcached),
    /// and in the file store those that are replaced or removed before a sweep finds them.
    #[non_exhaustive]
    Expired {
        /// The session.
        id: SessionId,
        /// As it was stored, if the store has it (memory).
        record: Option<&'a Arc<Record>>,
    },
    /// A full store has evicted a live session.
    #[non_exhaustive]
    Evicted {
        /// The session.
        id: SessionId,
        /// As it was stored.
        record: &'a Arc<Record>,
    },
    /// A store has swept, by itself or on request.
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
        /// The number of attempts, including the last one.
        tries: u32,
    },
    /// Changes were refused because their session has ended or was superseded. It was not brought back.
    #[non_exhaustive]
    WriteBlocked {
        /// The session.
        id: SessionId,
        /// Of kind [`Gone`](crate::ErrorKind::Gone) or [`Superseded`](crate::ErrorKind::Superseded).
        error: &'a Error,
    },
    /// A request with the cookies of two live sessions was refused, since one of them may have been planted.
    #[non_exhaustive]
    TwoLiveCookies {
        /// The session of the first cookie.
        first: SessionId,
        /// The session of the other one.
        second: SessionId,
    },
    /// A request's changes were not saved.
    #[non_exhaustive]
    ChangesDropped {
        /// The session, if it is stored at all.
        id: Option<SessionId>,
        /// The reason.
        reason: DropReason,
    },
    /// A handler answered with an error of this crate that became a server error. The visitor sees only the status.
    #[non_exhaustive]
    HandlerFailed {
        /// The error. It names the entry and the type, or the session.
        error: &'a Error,
    },
    /// A record could not be opened: it is damaged, or no key opens it. It stays as it is.
    #[non_exhaustive]
    Damaged {
        /// The session.
        id: SessionId,
        /// Of kind [`Corrupt`](crate::store::StoreErrorKind::Corrupt).
        error: &'a StoreError,
    },
    /// A request's session could not be loaded.
    #[non_exhaustive]
    LoadFailed {
        /// The session.
        id: SessionId,
        /// The store's error.
        error: &'a StoreError,
    },
    /// A request's changes, or the end of its session, could not be stored.
    #[non_exhaustive]
    CommitFailed {
        /// The session, if it was stored before.
        id: Option<SessionId>,
        /// The error.
        error: &'a Error,
    },
    /// A request did not get its turn under [`exclusive`](crate::SessionLayerBuilder::exclusive) and was answered 423.
    #[non_exhaustive]
    TurnRefused {
        /// The session.
        id: SessionId,
        /// In lower case: `too many requests are waiting` or `timed out waiting`.
        reason: &'static str,
    },
    /// A request's turn is over, and its lease could not be given back. Other requests wait until it expires.
    #[non_exhaustive]
    ReleaseFailed {
        /// The session.
        id: SessionId,
        /// The store's error.
        error: &'a StoreError,
    },
    /// A login was refused: its owner has as many sessions as
    /// [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner) allows.
    #[non_exhaustive]
    LoginRefused {
        /// The limit.
        most: usize,
    },
    /// The expiry of a session that was only read could not be moved. The request's answer is unaffected.
    #[non_exhaustive]
    TouchFailed {
        /// The session.
        id: SessionId,
        /// The store's error.
        error: &'a StoreError,
    },
    /// A layer is nested in another one with the same cookie name and has no effect. Reported once.
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
    /// A store call has been answered. Reported for every call of a layer or of [`Sessions`](crate::Sessions).
    ///
    /// It comes before the event that the call leads to: first the operation `create`, then [`Created`](Self::Created).
    /// It comes after events of the store during the call, such as evictions. It is not traced, since the stores trace
    /// their calls themselves.
    #[non_exhaustive]
    Operation {
        /// The name of the [`SessionStore`](crate::SessionStore) method, such as `load`.
        operation: &'static str,
        /// The outcome.
        outcome: Outcome<'a>,
        /// How long it took, by the runtime's monotonic clock.
        duration: Duration,
        /// The session in question. `None` for calls about owners and about all sessions.
        id: Option<SessionId>,
        /// The record that was loaded or was to be stored.
        record: Option<&'a Arc<Record>>,
        /// How many sessions were counted (`count`), removed (`clear`, `sweep`, `delete_idle`) or listed
        /// (`list_owner`, `ids`).
        sessions: Option<u64>,
    },
    /// A store found that the bytes under an id are not a record, or that no key opens them.
    #[non_exhaustive]
    NotOpened {
        /// The session.
        id: SessionId,
        /// The operation, such as `load`.
        operation: &'static str,
        /// The error.
        error: &'a StoreError,
    },
    /// A cache had the session.
    #[non_exhaustive]
    CacheHit {
        /// The session.
        id: SessionId,
        /// Whether the store was asked if the cached record is current.
        validated: bool,
    },
    /// A cache had to load the session.
    #[non_exhaustive]
    CacheMiss {
        /// The session.
        id: SessionId,
    },
    /// A full cache has evicted sessions. The store behind it keeps them.
    #[non_exhaustive]
    CacheEvicted {
        /// The number of sessions.
        sessions: u64,
    },
}
