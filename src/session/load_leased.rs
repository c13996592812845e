//! Loads a request's session under its lease, where requests of one session run one after another.

use std::sync::Arc;

use super::{
    context::Context,
    find::{Follow, Found},
    live::Origin,
    load::{LoadFailure, Loaded, load_tokens},
    policy::DamagedPolicy,
    request_lease::{Denied, RequestLease},
    settings::ExclusiveTimes,
};
use crate::{
    clock::deadline,
    cookie::Tokens,
    events::EventKind,
    id::SessionId,
    store::{StoreError, StoreErrorKind},
};

/// Looks up the session that the request's tokens name, waits for its lease, and looks it up again. The second look-up
/// sees what the previous holder has written, and returns the version that taking the lease gave.
///
/// Because of the first look-up, a token that names no session takes no lease and no place in a line. Returns no
/// [`RequestLease`] if there is no session to lease.
pub(crate) async fn load_leased(
    context: &Arc<Context>,
    times: ExclusiveTimes,
    tokens: &Tokens,
) -> Result<(Loaded, Option<Box<RequestLease>>), LoadFailure> {
    let deadline = deadline(times.wait);
    let mut loaded = load_tokens(context, tokens, None).await?;
    loop {
        let Origin::Live(live) = &loaded.origin else { return Ok((loaded, None)) };
        let id = live.id;
        let (lease, stored) = match RequestLease::take(context, times, id, deadline).await {
            Ok(Some((lease, stored))) => (Some(lease), stored),
            Ok(None) => (None, None),
            Err(denied) => return Err(refused(context, denied, times, id)),
        };
        let found = context.find_again(live, Follow::Forward, stored).await;
        match (found, lease) {
            (Ok(Found::Live(live)), Some(lease)) if live.id == id => {
                loaded.origin = Origin::Live(live);
                return Ok((loaded, Some(Box::new(lease))));
            }
            (Ok(Found::Live(live)), None) if live.id == id => {
                let error = StoreError::new(StoreErrorKind::Other).during("acquire").on(&id);
                let denied = Denied::Store(error.because("the store has this session but found nothing to lease"));
                return Err(refused(context, denied, times, id));
            }
            (found, lease) => {
                // The session that was leased is gone, so release the lease.
                if let Some(lease) = lease {
                    lease.release().await;
                }
                match found {
                    // The session was renewed while this request waited. Wait in the line of the new id.
                    Ok(Found::Live(live)) => loaded.origin = Origin::Live(live),
                    found => return loaded.without(context, times, id, found).map(|loaded| (loaded, None)),
                }
            }
        }
    }
}

impl Loaded {
    /// Handles a session that ended, or was superseded by a login, while this request waited.
    fn without(
        mut self,
        context: &Context,
        times: ExclusiveTimes,
        id: SessionId,
        found: Result<Found, StoreError>,
    ) -> Result<Self, LoadFailure> {
        self.origin = match found {
            Ok(Found::Superseded { is_linked }) => Origin::Superseded { id, is_linked },
            Ok(Found::Revoked) => {
                self.revoked.push(id);
                Origin::None
            }
            Ok(_) => Origin::None,
            Err(error) if error.kind() != StoreErrorKind::Corrupt => {
                return Err(refused(context, Denied::Store(error), times, id));
            }
            Err(error) => {
                context.emit(EventKind::Damaged { id, error: &error });
                if context.settings.damaged == DamagedPolicy::Fail {
                    return Err(LoadFailure::Damaged(error));
                }
                self.unopened.push(id);
                Origin::None
            }
        };
        Ok(self)
    }
}

fn refused(context: &Context, denied: Denied, times: ExclusiveTimes, id: SessionId) -> LoadFailure {
    match denied {
        // Reported where it was denied.
        Denied::Locked => LoadFailure::Locked { retry_after: times.wait.min(times.lease) },
        Denied::Store(error) => {
            context.emit(EventKind::LoadFailed { id, error: &error });
            LoadFailure::Store(error)
        }
    }
}
