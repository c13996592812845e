//! Why a store has no record.

use super::settings::Settings;
use crate::{
    events::NoSessionReason,
    id::SessionId,
    store::{SessionStatus, SessionStore},
};

/// Tells of an id under which the store has nothing that it would hand out.
///
/// A store in this process's memory is asked whether it has an expired one, if anybody is to be told. Another is not: it
/// would be a second round trip for whatever token a client makes up.
pub(super) async fn tell_absent(settings: &Settings, id: &SessionId) {
    let mut reason = NoSessionReason::Unknown;
    if settings.observers.hear_reasons()
        && settings.store.in_memory()
        && let Ok(Some(metadata)) = settings.store.metadata(id).await
        && metadata.status == SessionStatus::Expired
    {
        reason = NoSessionReason::Expired;
    }
    settings.no_session(reason, id, None);
}
