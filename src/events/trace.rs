//! The `tracing` side: each event with its target, level and id, never with a token or a value.

use tracing::{debug, error, info, trace, warn};

use super::{EventKind, NoSessionReason};

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
                "a session was created over plain HTTP, where browsers drop its `Secure` cookie: use HTTPS, or for development \
                 `CookieConfig::secure(false)`. If a proxy terminates TLS, have it send `X-Forwarded-Proto`, or set `secure(true)`"
            );
        }
        // Traced where they occur, with a target of their own.
        EventKind::OwnerRevoked { .. }
        | EventKind::Expired { .. }
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
pub(super) fn tells_reasons() -> bool {
    tracing::enabled!(target: SESSION, tracing::Level::DEBUG)
}

fn no_session(reason: NoSessionReason, id: Option<crate::id::SessionId>) {
    let id = id.map(tracing::field::display);
    match reason {
        NoSessionReason::NoCookie => trace!(target: SESSION, { reason = reason.as_str() }, "no session"),
        NoSessionReason::Forged => {
            warn!(target: SESSION, { reason = reason.as_str() }, "session cookie not signed by any key of the ring");
        }
        _ => debug!(target: SESSION, { session.id = id, reason = reason.as_str() }, "no session"),
    }
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
