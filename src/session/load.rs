//! From the request's tokens to the session that they name.

use std::time::Duration;

use tracing::Instrument;

use super::{
    settings::{DamagedPolicy, Settings},
    state::{Live, Origin},
};
use crate::{
    cookie::Tokens,
    events::{EventKind, NoSessionReason, span},
    id::{Check, SessionId},
    record::RecordKind,
    store::{SessionStore, StoreError, StoreErrorKind, Stored},
};

/// Why the request's session could not be told.
#[derive(Debug, Clone)]
pub(crate) enum LoadFailure {
    /// The store could not answer.
    Store(StoreError),
    /// The record is damaged, or no key opens it.
    Damaged(StoreError),
    /// Two cookies name two live sessions.
    TwoSessions,
    /// Other requests have the session; this one's time to wait is over, or too many wait already.
    Locked { retry_after: Duration },
    /// Requests are to run one after another, and the store has no leases.
    NoLeases(StoreError),
}

/// What the request's tokens led to.
pub(crate) struct Loaded {
    pub(crate) origin: Origin,
    /// What could not be opened and is left alone, unless the request destroys its session.
    pub(crate) damaged: Vec<SessionId>,
}

/// What a stored record is to a request that holds the token of this check.
pub(crate) enum Found {
    Live(Stored),
    Superseded,
    /// Not there, or not for this token; the reason is an event.
    Absent,
}

/// Looks up what the tokens name. One live session is the request's; two are refused, since one of them was planted.
pub(crate) async fn load(settings: &Settings, tokens: &Tokens) -> Result<Loaded, LoadFailure> {
    if tokens.are_several() {
        // Boxed: hardly a request has several, and every handler's future has room for what is not boxed.
        return Box::pin(load_several(settings, tokens)).await;
    }
    let Some(token) = tokens.iter().next() else { return Ok(Loaded::NOTHING) };
    let (id, check) = token.identify(settings.cookie.bare_name());
    // As `find` does it, but with no room for `find` in every handler's future.
    let found = if span::are_wanted() {
        Box::pin(find(settings, &id, Some(check))).await
    } else {
        look_up(settings, &id, Some(check)).await
    };
    let mut loaded = Loaded::NOTHING;
    loaded.take(settings, id, found)?;
    Ok(loaded)
}

async fn load_several(settings: &Settings, tokens: &Tokens) -> Result<Loaded, LoadFailure> {
    let mut loaded = Loaded::NOTHING;
    for token in tokens.iter() {
        let (id, check) = token.identify(settings.cookie.bare_name());
        let found = find(settings, &id, Some(check)).await;
        loaded.take(settings, id, found)?;
    }
    Ok(loaded)
}

impl Loaded {
    const NOTHING: Self = Self { origin: Origin::None, damaged: Vec::new() };

    /// Takes in what the next token led to.
    fn take(
        &mut self,
        settings: &Settings,
        id: SessionId,
        found: Result<Found, StoreError>,
    ) -> Result<(), LoadFailure> {
        match found {
            Ok(Found::Live(stored)) => match &self.origin {
                Origin::Live(first) if first.id == id => {}
                Origin::Live(first) => {
                    settings.emit(EventKind::TwoLiveCookies { first: first.id, second: id });
                    return Err(LoadFailure::TwoSessions);
                }
                Origin::None | Origin::Superseded(_) => {
                    settings.emit(EventKind::Loaded { id, record: &stored.record });
                    self.origin = Origin::Live(Live { id, stored });
                }
            },
            Ok(Found::Superseded) => {
                if let Origin::None = self.origin {
                    self.origin = Origin::Superseded(id);
                }
            }
            Ok(Found::Absent) => {}
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                settings.emit(EventKind::Damaged { id, error: &error });
                if settings.damaged == DamagedPolicy::Fail {
                    return Err(LoadFailure::Damaged(error));
                }
                self.damaged.push(id);
            }
            Err(error) => {
                settings.emit(EventKind::LoadFailed { id, error: &error });
                return Err(LoadFailure::Store(error));
            }
        }
        Ok(())
    }
}

/// Looks up one id. Without a check (a job that knows the id, not the token) the record's own is accepted.
pub(crate) async fn find(settings: &Settings, id: &SessionId, check: Option<Check>) -> Result<Found, StoreError> {
    if span::are_wanted() {
        return Box::pin(look_up(settings, id, check).instrument(span::load(id))).await;
    }
    look_up(settings, id, check).await
}

async fn look_up(settings: &Settings, id: &SessionId, check: Option<Check>) -> Result<Found, StoreError> {
    let Some(stored) = settings.store.load(id).await.map_err(|error| error.during("load").on(id))? else {
        settings.nothing_stored(id).await;
        return Ok(Found::Absent);
    };
    let found = judge(settings, id, check, stored)?;
    let Found::Live(Stored { record, .. }) = &found else { return Ok(found) };
    let Some(owner) = record.owner() else { return Ok(found) };
    let present = settings.store.owner_epoch(owner.name()).await;
    if present.map_err(|error| error.during("owner_epoch").on(id))? == Some(owner.epoch()) {
        return Ok(found);
    }
    settings.no_session(NoSessionReason::Revoked, id, Some(record));
    Ok(Found::Absent)
}

/// What a record is by itself, whoever owns it.
fn judge(settings: &Settings, id: &SessionId, check: Option<Check>, stored: Stored) -> Result<Found, StoreError> {
    let record = &stored.record;
    if check.is_some_and(|check| check != record.check()) {
        settings.no_session(NoSessionReason::Unknown, id, Some(record));
        return Ok(Found::Absent);
    }
    let now = settings.clock.recent();
    // A store that returns an expired record is not believed (K9).
    if stored.is_expired(now) || now >= record.absolute_limit() {
        settings.no_session(NoSessionReason::Expired, id, Some(record));
        return Ok(Found::Absent);
    }
    match record.kind() {
        RecordKind::Session => Ok(Found::Live(stored)),
        RecordKind::Tombstone => {
            settings.no_session(NoSessionReason::Superseded, id, Some(record));
            Ok(Found::Superseded)
        }
        RecordKind::Epoch => {
            settings.no_session(NoSessionReason::Unknown, id, Some(record));
            Ok(Found::Absent)
        }
        RecordKind::Sealed => {
            let error = StoreError::new(StoreErrorKind::Corrupt).during("load").on(id);
            Err(error.because("the record is sealed, and the store is not wrapped by the one that opens it"))
        }
    }
}
