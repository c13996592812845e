//! How many sessions an owner can have.

use std::sync::Arc;

use super::{
    commit::{self, Work, Written, deadline},
    end::end_owned,
    owned::list_owned,
    settings::Settings,
    state::{Origin, Renewal},
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
};

/// Where the events go: those of an owner's sessions.
const TARGET: &str = "session_layer::sessions";

/// What happens to a login when its owner has as many sessions as are allowed; see
/// [`sessions_per_owner`](crate::SessionLayerBuilder::sessions_per_owner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AtLimit {
    /// The new login is refused.
    Refuse,
    /// The sessions that were used longest ago are ended to make room.
    EndOldest,
}

/// At most so many sessions for each owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) most: usize,
    pub(crate) at_limit: AtLimit,
}

/// Writes the changes, unless they give an owner one session too many.
pub(crate) async fn write(settings: &Settings, work: &mut Work) -> Result<Option<Written>> {
    match settings.limit {
        // Boxed: whoever sets no limit has no larger future for it.
        Some(limit) => match joined(work) {
            Some(owner) => Box::pin(write_within(settings, work, limit, &owner)).await,
            None => commit::write(settings, work).await,
        },
        None => commit::write(settings, work).await,
    }
}

/// The owner whose session this is from now on, and was not before.
fn joined(work: &Work) -> Option<Arc<str>> {
    let owner = work.draft.owner()?;
    let held = match &work.origin {
        Origin::Live(live) if work.renewal < Renewal::Login => live.stored.record.owner(),
        Origin::Live(_) | Origin::None | Origin::Superseded { .. } => None,
    };
    (held.map(|held| held.name()) != Some(owner)).then(|| Arc::clone(owner))
}

async fn write_within(settings: &Settings, work: &mut Work, limit: Limit, owner: &str) -> Result<Option<Written>> {
    // The logins of one owner one after another, in this process; revocations take the same turn.
    let turn = settings.queue.turn(SessionId::of_owner(owner), deadline(settings)).await;
    let _turn = turn.ok_or_else(|| Error::request(ErrorKind::Contended))?;
    // A session that logs in again makes room for itself, and so does one that it ends.
    let own: Vec<_> = work.origin.id().into_iter().chain(work.revoked.iter().copied()).collect();
    if !make_room(settings, owner, limit, &own).await? {
        return Err(refused(settings, limit));
    }
    let written = commit::write(settings, work).await?;
    if let Some(written) = &written {
        look_again(settings, owner, limit, &written.live.id).await?;
    }
    Ok(written)
}

/// Sees to it that one more session has room beside the others. `false` if it is to be refused.
pub(crate) async fn make_room(settings: &Settings, owner: &str, limit: Limit, own: &[SessionId]) -> Result<bool> {
    let mut others = list_owned(settings, owner).await?;
    others.retain(|(id, _)| !own.contains(id));
    if others.len() < limit.most {
        return Ok(true);
    }
    if limit.at_limit == AtLimit::Refuse || limit.most == 0 {
        return Ok(false);
    }
    for (id, _) in &others[limit.most - 1..] {
        // `false`: it ended by itself meanwhile.
        if end_owned(settings, owner, id).await?.is_some() {
            tracing::debug!(target: TARGET, { session.id = %id }, "a session of an owner ended to make room");
        }
    }
    Ok(true)
}

/// Another process may have let a login in at the same moment. Whoever is stored last sees all of them, so the limit
/// holds when all are answered.
async fn look_again(settings: &Settings, owner: &str, limit: Limit, new: &SessionId) -> Result<()> {
    let Some(mut listed) = counted(settings, owner, new).await else { return Ok(()) };
    if listed.len() <= limit.most {
        return Ok(());
    }
    if limit.at_limit == AtLimit::Refuse {
        end_surplus(settings, owner, new).await;
        return Err(refused(settings, limit));
    }
    // One at a time, and counted again: others end the same ones, since all agree on the order, and a store that reads
    // its list piece by piece may still show one that has ended.
    for _ in limit.most..listed.len() {
        let Some(oldest) = listed.last().filter(|_| listed.len() > limit.most) else { break };
        end_surplus(settings, owner, oldest).await;
        match counted(settings, owner, new).await {
            Some(now) => listed = now,
            None => break,
        }
    }
    Ok(())
}

/// The owner's sessions, the most recently used first.
async fn counted(settings: &Settings, owner: &str, new: &SessionId) -> Option<Vec<SessionId>> {
    match list_owned(settings, owner).await {
        Ok(listed) => Some(listed.into_iter().map(|(id, _)| id).collect()),
        Err(error) => {
            tracing::warn!(target: TARGET, { session.id = %new, %error }, "an owner's sessions not counted again");
            None
        }
    }
}

async fn end_surplus(settings: &Settings, owner: &str, id: &SessionId) {
    match end_owned(settings, owner, id).await {
        Ok(_) => tracing::debug!(target: TARGET, { session.id = %id }, "a session of an owner ended: one too many"),
        Err(error) => {
            tracing::warn!(target: TARGET, { session.id = %id, %error }, "a session too many could not be ended");
        }
    }
}

fn refused(settings: &Settings, limit: Limit) -> Error {
    settings.emit(EventKind::LoginRefused { most: limit.most });
    Error::request(ErrorKind::TooManySessions)
}
