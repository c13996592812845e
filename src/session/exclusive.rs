//! A request's session where requests of one session run one after another: loaded once it is this one's turn.

use std::sync::Arc;

use super::{
    load::{Found, LoadFailure, Loaded, find, load},
    settings::{DamagedPolicy, Settings},
    state::{Live, Origin},
    turn::{Denied, Exclusive, Turn},
};
use crate::{
    cookie::Tokens,
    events::EventKind,
    id::SessionId,
    store::{StoreError, StoreErrorKind},
};

/// Looks up the request's tokens, waits for the lease of the session that they name, and looks it up again: what the
/// holder before has written is seen, and the version is the one that taking the lease gave.
///
/// Looked up first, so that a token that names no session takes no lease and stands in no line. `None`: there is no
/// session to lease.
pub(crate) async fn load_in_turn(
    settings: &Arc<Settings>,
    exclusive: &Exclusive,
    tokens: &Tokens,
) -> Result<(Loaded, Option<Box<Turn>>), LoadFailure> {
    let mut loaded = load(settings, tokens).await?;
    let Origin::Live(live) = &loaded.origin else { return Ok((loaded, None)) };
    let (id, check) = (live.id, live.stored.record.check());
    let turn = match Turn::take(settings, exclusive, id).await {
        Ok(turn) => turn,
        Err(denied) => return Err(refused(settings, denied, exclusive, id)),
    };
    let found = find(settings, &id, Some(check)).await;
    match (found, turn) {
        (Ok(Found::Live(stored)), Some(turn)) => {
            loaded.origin = Origin::Live(Live { id, stored });
            Ok((loaded, Some(Box::new(turn))))
        }
        (Ok(Found::Live(_)), None) => {
            let error = StoreError::new(StoreErrorKind::Other).during("lock").on(&id);
            let denied = Denied::Store(error.because("the store leases nothing where it has a session"));
            Err(refused(settings, denied, exclusive, id))
        }
        // It ended, or got another token, while this one waited. Of that nothing is to be leased.
        (found, turn) => {
            if let Some(turn) = turn {
                turn.end().await;
            }
            loaded.origin = match found {
                Ok(Found::Superseded) => Origin::Superseded(id),
                Ok(_) => Origin::None,
                Err(error) if error.kind() != StoreErrorKind::Corrupt => {
                    return Err(refused(settings, Denied::Store(error), exclusive, id));
                }
                Err(error) => {
                    settings.emit(EventKind::Damaged { id, error: &error });
                    if settings.damaged == DamagedPolicy::Fail {
                        return Err(LoadFailure::Damaged(error));
                    }
                    loaded.damaged.push(id);
                    Origin::None
                }
            };
            Ok((loaded, None))
        }
    }
}

fn refused(settings: &Settings, denied: Denied, exclusive: &Exclusive, id: SessionId) -> LoadFailure {
    match denied {
        // Told where it was denied.
        Denied::Locked => LoadFailure::Locked { retry_after: exclusive.wait.min(exclusive.lease) },
        Denied::Unsupported(error) => {
            settings.emit(EventKind::LoadFailed { id, error: &error });
            LoadFailure::NoLeases(error)
        }
        Denied::Store(error) => {
            settings.emit(EventKind::LoadFailed { id, error: &error });
            LoadFailure::Store(error)
        }
    }
}
