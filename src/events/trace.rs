//! The `tracing` side: each event with its target, level and id, never with a token or a value.

use std::fmt::Display;

use tracing::{debug, error, info, trace, warn};

use super::{EventKind, NoSessionReason};
use crate::id::SessionId;

/// The target of events of sessions.
pub(super) const SESSION: &str = "session_layer::session";
/// The target of events of an owner's sessions.
const SESSIONS: &str = "session_layer::sessions";
/// The target of events about misconfigured layers.
const LAYER: &str = "session_layer::layer";
/// The target of events about observers.
const OBSERVER: &str = "session_layer::observer";

/// Emits the event through `tracing`. The crate's page has the table of targets and levels.
pub(super) fn trace(kind: &EventKind<'_>) {
    match *kind {
        EventKind::Loaded { id, .. } => trace!(target: SESSION, { session.id = %id }, "session loaded"),
        EventKind::NoSession { reason, id, .. } => no_session(reason, id),
        EventKind::Created { id, login, .. } => {
            debug!(target: SESSION, { session.id = %id, login }, "session created");
        }
        EventKind::Saved { id, .. } => debug!(target: SESSION, { session.id = %id }, "session saved"),
        EventKind::Touched { id, .. } => debug!(target: SESSION, { session.id = %id }, "session touched"),
        EventKind::Renewed { from, to, login, .. } => {
            debug!(target: SESSION, { session.id = %to, session.previous_id = %from, login }, "session renewed");
        }
        EventKind::Destroyed { id } => debug!(target: SESSION, { session.id = %id }, "session destroyed"),
        EventKind::ConflictMerged { id, tries, .. } => {
            info!(target: SESSION, { session.id = %id, tries }, "conflicting changes merged");
        }
        EventKind::WriteBlocked { id, error } => {
            warn!(target: SESSION, { session.id = %id, why = %error }, "write to a session that is gone was blocked");
        }
        EventKind::TwoLiveCookies { first, second } => {
            warn!(target: SESSION, { session.id = %first, session.other_id = %second }, "two live session cookies");
        }
        EventKind::ChangesDropped { id, reason } => {
            let id = id.map(tracing::field::display);
            warn!(target: SESSION, { session.id = id, reason = reason.as_str() }, "unsaved changes dropped");
        }
        EventKind::HandlerFailed { error } => {
            let error = error as &dyn std::error::Error;
            error!(target: SESSION, { error }, "a handler answered with a session error");
        }
        EventKind::TouchFailed { id, error } => {
            warn!(target: SESSION, { session.id = %id, error = error as &dyn std::error::Error }, "touch failed");
        }
        EventKind::TurnRefused { id, reason } => {
            info!(target: SESSION, { session.id = %id, reason }, "session in use by another request");
        }
        EventKind::ReleaseFailed { id, error } => {
            let error = error as &dyn std::error::Error;
            warn!(target: SESSION, { session.id = %id, error }, "lease not given back: it ends when it expires");
        }
        // Without the owner's name: names are often e-mail addresses.
        EventKind::LoginRefused { most } => {
            warn!(target: SESSIONS, { most }, "login refused: its owner has the maximum number of sessions");
        }
        EventKind::Damaged { id, error } => {
            let error = error as &dyn std::error::Error;
            error!(target: SESSION, { session.id = %id, error }, "session record can't be opened");
        }
        EventKind::CommitFailed { id, error } => {
            let (id, error) = (id.map(tracing::field::display), error as &dyn std::error::Error);
            error!(target: SESSION, { session.id = id, error }, "session not committed");
        }
        EventKind::LoadFailed { id, error } => {
            let error = error as &dyn std::error::Error;
            error!(target: SESSION, { session.id = %id, error }, "session not loaded");
        }
        EventKind::NestedLayer { cookie } => {
            warn!(target: LAYER, { cookie }, "two session layers with one cookie name: the inner one does nothing");
        }
        EventKind::SecureCookieOverHttp { cookie } => {
            warn!(
                target: LAYER, { cookie },
                "a session was created over plain HTTP, where browsers drop its `Secure` cookie: use HTTPS, or for \
                 development `CookieConfig::secure(false)`. If a proxy terminates TLS, have it send \
                 `X-Forwarded-Proto`, or set `secure(true)`"
            );
        }
        EventKind::OwnerRevoked { kept: None, removed } => {
            debug!(target: SESSIONS, removed, "an owner's sessions revoked");
        }
        EventKind::OwnerRevoked { kept: Some(id), removed } => {
            debug!(target: SESSIONS, { session.id = %id, removed }, "an owner's other sessions revoked");
        }
        // Traced by the stores, with targets of their own.
        EventKind::Expired { .. }
        | EventKind::Evicted { .. }
        | EventKind::Swept { .. }
        | EventKind::Operation { .. }
        | EventKind::NotOpened { .. }
        | EventKind::CacheHit { .. }
        | EventKind::CacheMiss { .. }
        | EventKind::CacheEvicted { .. } => {}
    }
}

/// Whether `tracing` is interested in the reason for a missing session.
pub(super) fn wants_reasons() -> bool {
    tracing::enabled!(target: SESSION, tracing::Level::DEBUG)
}

fn no_session(reason: NoSessionReason, id: Option<SessionId>) {
    let id = id.map(tracing::field::display);
    match reason {
        NoSessionReason::NoCookie => trace!(target: SESSION, { reason = reason.as_str() }, "no session"),
        NoSessionReason::Forged => {
            warn!(target: SESSION, { reason = reason.as_str() }, "session cookie not signed by any key of the ring");
        }
        _ => debug!(target: SESSION, { session.id = id, reason = reason.as_str() }, "no session"),
    }
}

/// Traces that one session of an owner was ended because it was asked for.
pub(crate) fn owned_session_ended(id: &SessionId) {
    debug!(target: SESSIONS, { session.id = %id }, "a session of an owner ended");
}

/// Traces that a session was ended to make room for a login of its owner.
pub(crate) fn ended_to_make_room(id: &SessionId) {
    debug!(target: SESSIONS, { session.id = %id }, "ended a session of an owner to make room");
}

/// Traces that a session was ended since its owner had one too many after simultaneous logins.
pub(crate) fn surplus_ended(id: &SessionId) {
    debug!(target: SESSIONS, { session.id = %id }, "ended a surplus session of an owner");
}

/// Traces that such a session could not be ended.
pub(crate) fn surplus_not_ended(id: &SessionId, error: &dyn Display) {
    warn!(target: SESSIONS, { session.id = %id, %error }, "could not end a surplus session");
}

/// Traces that an owner's sessions could not be counted again after a login was stored.
pub(crate) fn not_counted_again(new: &SessionId, error: &dyn Display) {
    warn!(target: SESSIONS, { session.id = %new, %error }, "could not count an owner's sessions again");
}

/// Traces that an owner's sessions could not be listed to remove revoked ones.
pub(crate) fn revoked_not_listed(error: &dyn Display) {
    warn!(target: SESSIONS, %error, "an owner's sessions could not be listed: revoked sessions expire unused");
}

/// Traces that the owner's epoch could not be read, so that no revoked session was removed.
pub(crate) fn none_removed(error: &dyn Display) {
    warn!(target: SESSIONS, %error, "revoked sessions not removed: they expire unused");
}

/// Traces that one revoked session could not be removed.
pub(crate) fn revoked_not_removed(id: &SessionId, error: &dyn Display) {
    warn!(target: SESSIONS, { session.id = %id, %error }, "revoked session not removed: it expires unused");
}

/// Traces that a `SessionLease` that was dropped could not be given back.
pub(crate) fn lease_not_released(id: &SessionId, error: &dyn Display) {
    warn!(target: SESSIONS, { session.id = %id, %error }, "lease not given back: it ends when it expires");
}

/// Reports a route without a layer, which therefore has no observer.
pub(crate) fn missing_layer() {
    error!(
        target: LAYER,
        "a handler extracted a session, but no SessionLayer wraps its route: add `.layer(SessionLayer::new(store))` to the \
         router, after the route"
    );
}

pub(super) fn observer_panicked(event: &'static str) {
    error!(
        target: OBSERVER, event,
        "an observer panicked: the reported operation is unaffected, and further panics of this observer are not reported"
    );
}
