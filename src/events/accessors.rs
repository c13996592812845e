//! What the kinds of events have in common: a name, and perhaps a session and a record.

use std::sync::Arc;

use super::EventKind;
use crate::{id::SessionId, record::Record};

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

    /// The session in question; after a renewal, the new id.
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

    /// The record, if available.
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
