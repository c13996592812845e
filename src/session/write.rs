//! Writes the changes of a commit to the store: once, completely, and never over what another request wrote.

use super::{
    attempt::{Attempt, Written, create, rename, update},
    changes::{TokenChange, conflict},
    context::{Context, check_deadline},
    end::{Ended, end},
    live::Origin,
    owner_limit::begin_login,
    work::Work,
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
};

/// Writes the changes, unless they would give an owner one session too many. Returns `None` if there was nothing to
/// write, since the visitor has no session and stores nothing.
pub(super) async fn write(context: &Context, work: &mut Work) -> Result<Option<Written>> {
    let (Some(limit), Some(owner)) = (context.settings.sessions_per_owner, work.joined_owner()) else {
        return make_attempts(context, work).await;
    };
    // Boxed, so that the future doesn't grow for layers without a limit.
    let admission = Box::pin(begin_login(context, limit, owner, &work.replaced_ids())).await?;
    let written = make_attempts(context, work).await?;
    if let Some(written) = &written {
        Box::pin(admission.confirm(&written.live.id)).await?;
    }
    Ok(written)
}

/// Makes attempts until one is done. After each conflict, the changes are replayed on the newer record.
async fn make_attempts(context: &Context, work: &mut Work) -> Result<Option<Written>> {
    let deadline = context.deadline();
    let mut front = None;
    let mut tries = 1;
    if let Origin::Live(live) = &work.origin {
        if work.is_ended {
            let id = live.id;
            work.start_over(id)?;
            // If the handler ended it by its owner, this request knows only that it was revoked.
            work.revoked.push(id);
        } else if let Some(key) = conflict(Some(&live.stored.record), work.log.iter()) {
            // Another request changed the entry after this one had read it, and an earlier `save` loaded the newer
            // record.
            return Err(Error::entry(ErrorKind::Conflict, key, None));
        } else {
            work.refuse_unknown_owner(live)?;
        }
    }
    loop {
        let live = match &work.origin {
            Origin::Live(live) => live.clone(),
            Origin::Superseded { id, .. } if work.token_change < TokenChange::Login => {
                return Err(Error::session(ErrorKind::Superseded, *id));
            }
            &Origin::Superseded { id, is_linked: true } => {
                end_replaced(context, &id).await?;
                work.origin = Origin::Superseded { id, is_linked: false };
                continue;
            }
            Origin::Superseded { .. } | Origin::None => {
                if work.token_change < TokenChange::Login && !work.draft.is_dirty() {
                    return Ok(None);
                }
                end_revoked(context, work).await?;
                return create(context, work, deadline).await.map(Some);
            }
        };
        let attempt = match work.token_change {
            // Another request has renewed the session, and there is nothing left to write.
            TokenChange::Keep if tries > 1 && !work.draft.is_dirty() => {
                return Ok(Some(Written { live, token: None }));
            }
            TokenChange::Keep => update(context, work, &live).await?,
            TokenChange::Renew => Box::pin(rename(context, work, &live)).await?,
            TokenChange::Handover | TokenChange::Login => {
                end_revoked(context, work).await?;
                Box::pin(rename(context, work, &live)).await?
            }
        };
        match attempt {
            Attempt::Done(written) => {
                if tries > 1 {
                    let record = &written.live.stored.record;
                    context.emit(EventKind::ConflictMerged { id: live.id, record, tries });
                }
                return Ok(Some(written));
            }
            Attempt::Gone => work.start_over(live.id)?,
            Attempt::Revoked => work.meet_revocation(live.id)?,
            // Another request that only renewed, or recorded a first use, changed no data that this one could
            // overwrite.
            Attempt::Conflict(newer)
                if work.rejects && !Box::pin(work.meets_same_data(context, &live, newer.clone())).await =>
            {
                return Err(Error::session(ErrorKind::Conflict, live.id));
            }
            Attempt::Conflict(mut newer) => {
                if front.is_some() {
                    check_deadline(deadline, &live.id)?;
                } else {
                    front = context.try_commit_front(live.id);
                }
                if front.is_none() {
                    let contended = || Error::session(ErrorKind::Contended, live.id);
                    front = Some(Box::pin(context.commit_front(live.id, deadline)).await.ok_or_else(contended)?);
                    // Others have written while this request waited, so load the record again.
                    newer = None;
                }
                tries += 1;
                Box::pin(work.rebase(context, &live, newer)).await?;
            }
        }
    }
}

/// Ends the session that a login's old token leads to but that the request is too late to continue with. This comes
/// before the login is stored: if it fails, nobody is logged in.
///
/// The request need not have been too late when it was loaded. A loads the session to log in over it. B renews it. A
/// commits after the grace is over: its rename meets the tombstone, and A may no longer continue with the session that
/// it leads to. Without this, that session would live on after A's login.
async fn end_replaced(context: &Context, id: &SessionId) -> Result<()> {
    // `Superseded`: the session was given to an owner in the meantime, and A's login doesn't concern that owner's
    // session.
    if let Ended::Done(id) | Ended::Presumed(id) = Box::pin(end(context, id)).await? {
        context.emit(EventKind::Destroyed { id });
    }
    Ok(())
}

/// Ends the revoked sessions that the request's tokens name, before the browser gets the token of a fresh one.
///
/// `revoke_others` also revokes the session that it keeps, and then carries it over. A loads that session in between,
/// so A begins a fresh one. Without this, the kept session would live on under a token that the browser has dropped,
/// and nobody could log it out.
async fn end_revoked(context: &Context, work: &mut Work) -> Result<()> {
    while let Some(id) = work.revoked.last() {
        end_replaced(context, id).await?;
        work.revoked.pop();
    }
    Ok(())
}
