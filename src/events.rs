//! What happens to sessions, as `tracing` events: each with its target, level and id, and never a token or a value.

use crate::id::SessionId;

/// One thing that happened to a session. The crate's documentation has the table of targets and levels.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Loaded(SessionId),
    NoCookie,
    Malformed,
    #[cfg_attr(not(feature = "encryption"), allow(dead_code, reason = "only a signed cookie can be forged"))]
    Forged,
    Unknown(SessionId),
    Expired(SessionId),
    Superseded(SessionId),
    Revoked(SessionId),
    Created(SessionId),
    Saved(SessionId),
    Touched(SessionId),
    Renewed {
        from: SessionId,
        to: SessionId,
    },
    Destroyed(SessionId),
    ConflictMerged {
        id: SessionId,
        tries: u32,
    },
    WriteBlocked {
        id: SessionId,
        why: &'a crate::error::Error,
    },
    TwoLiveCookies {
        first: SessionId,
        second: SessionId,
    },
    ChangesDropped(Option<SessionId>),
    TouchFailed {
        id: SessionId,
        error: &'a (dyn std::error::Error + 'static),
    },
    Damaged {
        id: SessionId,
        error: &'a (dyn std::error::Error + 'static),
    },
    CommitFailed {
        id: Option<SessionId>,
        error: &'a (dyn std::error::Error + 'static),
    },
    LoadFailed {
        id: SessionId,
        error: &'a (dyn std::error::Error + 'static),
    },
    NestedLayer(&'a str),
    MissingLayer,
}

const SESSION: &str = "session_layer::session";
const LAYER: &str = "session_layer::layer";

impl Event<'_> {
    /// Tells whoever listens.
    pub(crate) fn emit(&self) {
        use tracing::{debug, error, info, trace, warn};
        match *self {
            Self::Loaded(id) => trace!(target: SESSION, { session.id = %id }, "session loaded"),
            Self::NoCookie => trace!(target: SESSION, { reason = "no cookie" }, "no session"),
            Self::Malformed => debug!(target: SESSION, { reason = "malformed" }, "no session"),
            Self::Forged => {
                warn!(target: SESSION, reason = "forged", "a session cookie that no key of the ring signed")
            }
            Self::Unknown(id) => debug!(target: SESSION, { session.id = %id, reason = "unknown" }, "no session"),
            Self::Expired(id) => debug!(target: SESSION, { session.id = %id, reason = "expired" }, "no session"),
            Self::Superseded(id) => debug!(target: SESSION, { session.id = %id, reason = "superseded" }, "no session"),
            Self::Revoked(id) => debug!(target: SESSION, { session.id = %id, reason = "revoked" }, "no session"),
            Self::Created(id) => debug!(target: SESSION, { session.id = %id }, "session created"),
            Self::Saved(id) => debug!(target: SESSION, { session.id = %id }, "session saved"),
            Self::Touched(id) => debug!(target: SESSION, { session.id = %id }, "session touched"),
            Self::Renewed { from, to } => {
                debug!(target: SESSION, { session.id = %to, session.previous_id = %from }, "session renewed");
            }
            Self::Destroyed(id) => debug!(target: SESSION, { session.id = %id }, "session destroyed"),
            Self::ConflictMerged { id, tries } => {
                info!(target: SESSION, { session.id = %id, tries }, "conflicting changes merged");
            }
            Self::WriteBlocked { id, why } => {
                warn!(target: SESSION, { session.id = %id, %why }, "write to a session that is gone was blocked");
            }
            Self::TwoLiveCookies { first, second } => {
                warn!(target: SESSION, { session.id = %first, session.other_id = %second }, "two live session cookies");
            }
            Self::ChangesDropped(Some(id)) => warn!(target: SESSION, { session.id = %id }, "unsaved changes dropped"),
            Self::ChangesDropped(None) => warn!(target: SESSION, "unsaved changes dropped"),
            Self::TouchFailed { id, error } => warn!(target: SESSION, { session.id = %id, error }, "touch failed"),
            Self::Damaged { id, error } => {
                error!(target: SESSION, { session.id = %id, error }, "session record can't be opened");
            }
            Self::CommitFailed { id: Some(id), error } => {
                error!(target: SESSION, { session.id = %id, error }, "session not committed");
            }
            Self::CommitFailed { id: None, error } => error!(target: SESSION, { error }, "session not committed"),
            Self::LoadFailed { id, error } => {
                error!(target: SESSION, { session.id = %id, error }, "session not loaded")
            }
            Self::NestedLayer(cookie) => {
                warn!(target: LAYER, { cookie }, "two session layers with one cookie name: the inner one does nothing");
            }
            Self::MissingLayer => {
                error!(target: LAYER, "a handler asked for a session where no SessionLayer wraps its route");
            }
        }
    }
}
