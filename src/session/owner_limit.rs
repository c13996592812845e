//! Limits the number of sessions per owner.

use std::sync::Arc;

use super::{
    context::Context,
    end::end_owned,
    policy::{AtLimit, OwnerLimit},
    queue::Front,
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::{EventKind, trace},
    id::SessionId,
};

/// A login that was admitted under its owner's limit and is not stored yet.
pub(super) struct Admission<'a> {
    context: &'a Context,
    limit: OwnerLimit,
    owner: Arc<str>,
    /// The logins of one owner in this process are admitted one after another, and revocations wait in the same line.
    _front: Front,
}

/// Makes room for a login, or refuses it. The sessions that it replaces are not counted.
pub(super) async fn begin_login<'a>(
    context: &'a Context,
    limit: OwnerLimit,
    owner: Arc<str>,
    replaced: &[SessionId],
) -> Result<Admission<'a>> {
    let front = context.owner_front(&owner, context.deadline()).await;
    let front = front.ok_or_else(|| Error::request(ErrorKind::Contended))?;
    if !make_room(context, &owner, limit, replaced).await? {
        return Err(refused(context, limit));
    }
    Ok(Admission { context, limit, owner, _front: front })
}

/// Makes room for one more session beside the others. Returns `false` if it must be refused.
pub(crate) async fn make_room(
    context: &Context,
    owner: &str,
    limit: OwnerLimit,
    replaced: &[SessionId],
) -> Result<bool> {
    let mut others = context.list_owned(owner).await?;
    others.retain(|(id, _)| !replaced.contains(id));
    if others.len() < limit.most {
        return Ok(true);
    }
    if limit.at_limit == AtLimit::Refuse || limit.most == 0 {
        return Ok(false);
    }
    for (id, _) in &others[limit.most - 1..] {
        // `None`: the session has ended by itself in the meantime.
        if end_owned(context, owner, id).await?.is_some() {
            trace::ended_to_make_room(id);
        }
    }
    Ok(true)
}

impl Admission<'_> {
    /// Counts again after the login is stored, since another process may have admitted a login at the same moment. The
    /// login that is stored last counts all of them, so the limit holds once all are answered.
    pub(super) async fn confirm(self, new: &SessionId) -> Result<()> {
        let Self { context, limit, ref owner, .. } = self;
        let Some(mut listed) = counted(context, owner, new).await else { return Ok(()) };
        if listed.len() <= limit.most {
            return Ok(());
        }
        if limit.at_limit == AtLimit::Refuse {
            end_surplus(context, owner, new).await;
            return Err(refused(context, limit));
        }
        // End one session at a time and count again. Other processes end the same ones, since all agree on the order,
        // and a store that reads its list piece by piece may still list one that has ended.
        for _ in limit.most..listed.len() {
            let Some(oldest) = listed.last().filter(|_| listed.len() > limit.most) else { break };
            end_surplus(context, owner, oldest).await;
            match counted(context, owner, new).await {
                Some(now) => listed = now,
                None => break,
            }
        }
        Ok(())
    }
}

/// Returns the owner's sessions, most recently used first. If that fails, logs it and returns `None`.
async fn counted(context: &Context, owner: &str, new: &SessionId) -> Option<Vec<SessionId>> {
    match context.list_owned(owner).await {
        Ok(listed) => Some(listed.into_iter().map(|(id, _)| id).collect()),
        Err(error) => {
            trace::not_counted_again(new, &error);
            None
        }
    }
}

async fn end_surplus(context: &Context, owner: &str, id: &SessionId) {
    match end_owned(context, owner, id).await {
        Ok(_) => trace::surplus_ended(id),
        Err(error) => trace::surplus_not_ended(id, &error),
    }
}

fn refused(context: &Context, limit: OwnerLimit) -> Error {
    context.emit(EventKind::LoginRefused { most: limit.most });
    Error::request(ErrorKind::TooManySessions)
}
