//! Writes the changes of a commit to the store: once, whole, and never over what another request wrote.

use super::{
    attempt::{Attempt, Written, create, rename, update},
    changes::{Renewal, conflict},
    context::{Context, within},
    end::{Ended, end},
    limit,
    live::Origin,
    work::Work,
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
};

/// Writes the changes, unless they give an owner one session too many. `None`: there was nothing to write, since the
/// visitor has no session and stores nothing.
pub(super) async fn write(context: &Context, work: &mut Work) -> Result<Option<Written>> {
    let (Some(limit), Some(owner)) = (context.settings.limit, work.joins()) else {
        return make_attempts(context, work).await;
    };
    // Boxed: a layer without a limit has no larger future for it.
    let admission = Box::pin(limit::admit(context, limit, owner, &work.replaces())).await?;
    let written = make_attempts(context, work).await?;
    if let Some(written) = &written {
        Box::pin(admission.confirm(&written.live.id)).await?;
    }
    Ok(written)
}

/// Makes one attempt after another until one is done. After each conflict, the changes are put on the newer record.
async fn make_attempts(context: &Context, work: &mut Work) -> Result<Option<Written>> {
    let deadline = context.deadline();
    let mut turn = None;
    let mut tries = 1;
    if let Origin::Live(live) = &work.origin {
        if work.is_ended {
            let id = live.id;
            work.start_over(id)?;
            // Ended by its owner's name, it is only revoked as far as this request knows.
            work.revoked.push(id);
        } else if let Some(key) = conflict(Some(&live.stored.record), &work.log) {
            // Another request changed the entry after this one had read it, and an earlier `save` loaded the newer
            // record.
            return Err(Error::entry(ErrorKind::Conflict, key, None));
        } else {
            work.takes_from_nobody(live)?;
        }
    }
    loop {
        let live = match &work.origin {
            Origin::Live(live) => live.clone(),
            Origin::Superseded { id, .. } if work.renewal < Renewal::Login => {
                return Err(Error::session(ErrorKind::Superseded, *id));
            }
            &Origin::Superseded { id, is_linked: true } => {
                leave(context, &id).await?;
                work.origin = Origin::Superseded { id, is_linked: false };
                continue;
            }
            Origin::Superseded { .. } | Origin::None => {
                if work.renewal < Renewal::Login && !work.draft.is_dirty() {
                    return Ok(None);
                }
                leave_revoked(context, work).await?;
                return create(context, work, deadline).await.map(Some);
            }
        };
        let attempt = match work.renewal {
            // Another request has renewed the session, and nothing is left to write.
            Renewal::Keep if tries > 1 && !work.draft.is_dirty() => {
                return Ok(Some(Written { live, token: None }));
            }
            Renewal::Keep => update(context, work, &live).await?,
            Renewal::Renew => Box::pin(rename(context, work, &live)).await?,
            Renewal::Leave | Renewal::Login => {
                leave_revoked(context, work).await?;
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
            // A renewal, or the record of a first use, changes no data that this request could overwrite.
            Attempt::Conflict(newer)
                if work.rejects && !Box::pin(work.meets_same_data(context, &live, newer.clone())).await =>
            {
                return Err(Error::session(ErrorKind::Conflict, live.id));
            }
            Attempt::Conflict(mut newer) => {
                if turn.is_some() {
                    within(deadline, &live.id)?;
                } else {
                    turn = context.try_commit_turn(live.id);
                }
                if turn.is_none() {
                    let contended = || Error::session(ErrorKind::Contended, live.id);
                    turn = Some(Box::pin(context.commit_turn(live.id, deadline)).await.ok_or_else(contended)?);
                    // Others have written while this request waited.
                    newer = None;
                }
                tries += 1;
                Box::pin(work.rebase(context, &live, newer)).await?;
            }
        }
    }
}

/// Ends the session that a login's old token leads to, too late to be served it, before the login is stored: if that fails,
/// nobody is logged in.
///
/// It need not have been so when the request was loaded. A loads the session to log in over it. B renews it. More than the
/// grace later A commits: its rename meets the tombstone, and what that leads to is not A's to go on with any more. Without
/// this, it would live on after A's login.
async fn leave(context: &Context, id: &SessionId) -> Result<()> {
    // `Superseded`: it has been given to an owner since, and A's login is not about that one's session.
    if let Ended::Done(id) | Ended::Unsure(id) = Box::pin(end(context, id)).await? {
        context.emit(EventKind::Destroyed { id });
    }
    Ok(())
}

/// Ends the revoked sessions that the request's tokens name, before the browser gets the token of a fresh one.
///
/// `revoke_others` revokes the session that it keeps, and then carries it over. A request that was loaded in between
/// begins a fresh session. Without this, the kept one would live on under a token that the browser has dropped, and
/// nobody could log it out.
async fn leave_revoked(context: &Context, work: &mut Work) -> Result<()> {
    while let Some(id) = work.revoked.last() {
        leave(context, id).await?;
        work.revoked.pop();
    }
    Ok(())
}
