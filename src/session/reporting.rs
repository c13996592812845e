//! What is told of sessions, and why there is none.

use std::sync::Arc;

#[cfg(feature = "axum")]
use super::caller::Caller;
use super::settings::Settings;
#[cfg(feature = "axum")]
use crate::{error::Error, events::Observers};
use crate::{
    events::{EventKind, NoSessionReason},
    id::SessionId,
    record::Record,
    store::{SessionStatus, SessionStore},
};

/// Reports an error that a handler answers with to the observers of the layer around it, if a handler is being polled.
#[cfg(feature = "axum")]
pub(crate) fn report_failed(error: &Error, caller: &Caller) {
    let kind = EventKind::HandlerFailed { error };
    match caller.shared() {
        Some(shared) => shared.settings.emit(kind),
        None => Observers::NONE.emit(kind),
    }
}

impl Settings {
    /// Tells of what happened.
    pub(crate) fn emit(&self, kind: EventKind<'_>) {
        self.observers.emit(kind);
    }

    /// Tells why there is no session of this id.
    pub(crate) fn no_session(&self, reason: NoSessionReason, id: &SessionId, record: Option<&Arc<Record>>) {
        self.emit(EventKind::NoSession { reason, id: Some(*id), record });
    }

    /// Tells of an id under which the store has nothing that it would hand out.
    ///
    /// A store in this process's memory is asked whether it has an expired one, if anybody is to be told. Another is not:
    /// it would be a second round trip for whatever token a client makes up.
    pub(super) async fn nothing_stored(&self, id: &SessionId) {
        let mut reason = NoSessionReason::Unknown;
        if self.observers.hear_reasons()
            && self.store.in_memory()
            && let Ok(Some(metadata)) = self.store.metadata(id).await
            && metadata.status == SessionStatus::Expired
        {
            reason = NoSessionReason::Expired;
        }
        self.no_session(reason, id, None);
    }
}
