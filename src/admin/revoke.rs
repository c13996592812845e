//! The sessions of one owner ended: all, all but one, or one.

use std::{collections::HashSet, fmt::Display, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Sessions, TARGET,
    sessions::{during, failed},
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
    record::{Owner, Record, RecordKind},
    session::{Caller, Context, Ended, EndedBeside, Live, end_listed, end_owned, within},
    store::{SessionStore, StoreErrorKind, Stored, Update, Usage},
};

/// # An owner's sessions ended
impl Sessions {
    /// Ends all sessions of an owner (OWASP ASVS 5.0, 7.4.2 and 7.4.3). When it returns, none of those that were logged
    /// in before is live, and what requests that are under way still save is not seen by anybody.
    ///
    /// Then the sessions that the store lists are removed, for their space; what can't be removed now expires unused. How
    /// many were removed, revoked before or not; 0 where the store can't list.
    ///
    /// A login of the same owner that runs at the same time comes before or after it.
    ///
    /// # Errors
    ///
    /// If the store can't change the epoch: then the sessions may live on.
    pub async fn revoke_all(&self, owner: impl Display) -> Result<u64> {
        let (context, caller, owner) = (Arc::clone(&self.context), Caller::present(), Arc::from(owner.to_string()));
        let name = Arc::clone(&owner);
        let revoked: Result<u64> = self
            .context
            .running
            .to_its_end(async move {
                // One after another in this process. A turn that does not come in time holds up no revocation.
                let _turn = context.owner_turn(&owner, context.deadline()).await;
                let before = listed(&context, &owner).await;
                renew_epoch(&context, &owner).await?;
                let removed = remove_listed(&context, &owner, &before, None).await;
                tracing::debug!(target: TARGET, removed, "an owner's sessions revoked");
                context.observers.tell(EventKind::OwnerRevoked { kept: None, removed });
                Ok(removed)
            })
            .await;
        caller.has_ended(revoked.is_ok().then_some(EndedBeside::Owner { name, kept: None }));
        revoked
    }

    /// Ends all sessions of an owner but one, usually that of the request (ASVS 7.4.3). `false`, and nothing is changed,
    /// if `keep` is not a live session of this owner.
    ///
    /// The others are revoked as by [`revoke_all`](Self::revoke_all), and the kept one is carried over into the new epoch by a
    /// write that names its version. **Between these two steps it is revoked as well**: another request of the kept
    /// session that is loaded just then sees no session, one that meets a conflict just then can't save or renew. A
    /// logout or a login just then ends the kept session all the same, and so does a request that begins a fresh session,
    /// whose token replaces the browser's. If the second step fails, the answer is an error and the kept session has
    /// ended too: an error leaves no other alive that was not before.
    ///
    /// In the handler of the kept session this is a change by somebody else: what the handler saves is merged, and under
    /// [`ConflictPolicy::Reject`](crate::ConflictPolicy::Reject), or before a `login`, it should
    /// [`reload`](crate::Session::reload) first.
    ///
    /// It does not undo a `revoke_all` that runs at once: in one process they take turns, and on stores that list exactly the
    /// kept session is removed by the other. On memcached, between processes and with a list that has lost the kept
    /// session, it may survive such a `revoke_all`.
    ///
    /// # Errors
    ///
    /// If the store can't; [`Contended`](ErrorKind::Contended) if the kept session changes again and again.
    pub async fn revoke_others(&self, owner: impl Display, keep: &SessionId) -> Result<bool> {
        let (context, caller, owner) = (Arc::clone(&self.context), Caller::present(), Arc::from(owner.to_string()));
        let (name, keep) = (Arc::clone(&owner), *keep);
        let kept: Result<Option<SessionId>> = self
            .context
            .running
            .to_its_end(async move {
                let deadline = context.deadline();
                let turn = context.owner_turn(&owner, deadline).await;
                let _turn = turn.ok_or_else(|| Error::session(ErrorKind::Contended, keep))?;
                // If the session was renewed meanwhile, it has a new id.
                let Some(Live { id: keep, stored: held, .. }) = context.find_owned(&owner, &keep).await? else {
                    return Ok(None);
                };
                let before = listed(&context, &owner).await;
                renew_epoch(&context, &owner).await?;
                carry_over(&context, &keep, held, deadline).await?;
                let removed = remove_listed(&context, &owner, &before, Some(&keep)).await;
                tracing::debug!(target: TARGET, { session.id = %keep, removed }, "an owner's other sessions revoked");
                context.observers.tell(EventKind::OwnerRevoked { kept: Some(keep), removed });
                Ok(Some(keep))
            })
            .await;
        let kept = kept?;
        caller.has_ended(kept.map(|kept| EndedBeside::Owner { name, kept: Some([keep, kept]) }));
        Ok(kept.is_some())
    }

    /// Ends one session of an owner (ASVS 7.5.2). `false`, and nothing is changed, if it is not a live session **of this
    /// owner**: an id out of a form ends nobody else's.
    ///
    /// When it answers `true`, no request that is under way brings the session back, not even one that renews its token.
    ///
    /// # Errors
    ///
    /// If the store can't; [`Damaged`](ErrorKind::Damaged) if the record does not tell whose it is:
    /// [`end`](Self::end) works on it.
    pub async fn revoke_one(&self, owner: impl Display, id: &SessionId) -> Result<bool> {
        let (context, owner, id) = (Arc::clone(&self.context), owner.to_string(), *id);
        let caller = Caller::present();
        let ended: Result<Option<SessionId>> = self
            .context
            .running
            .to_its_end(async move {
                let ended = end_owned(&context, &owner, &id).await?;
                if let Some(id) = ended {
                    tracing::debug!(target: TARGET, { session.id = %id }, "a session of an owner ended");
                }
                Ok(ended)
            })
            .await;
        let ended = ended?;
        caller.has_ended(ended.map(|ended| EndedBeside::Session([id, ended])));
        Ok(ended.is_some())
    }
}

/// Gives the owner another epoch.
async fn renew_epoch(context: &Context, owner: &str) -> Result<()> {
    let usage = Usage::keep_for(context.clock.now(), Duration::ZERO);
    let renewed = match context.store.renew_epoch(owner, usage).await {
        // Twice renewed is renewed.
        Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => context.store.renew_epoch(owner, usage).await,
        outcome => outcome,
    };
    renewed.map_err(during("renew_epoch"))
}

/// Puts the owner's present epoch into a session that was live before it was renewed.
async fn carry_over(context: &Context, id: &SessionId, mut held: Stored, deadline: Instant) -> Result<()> {
    let Some(owner) = held.record.owner().cloned() else { return Ok(()) };
    let until = held.record.absolute_limit();
    let usage = Usage { used_at: context.clock.now(), expires_at: until };
    let epoch = context.store.ensure_epoch(owner.name(), usage).await.map_err(during("ensure_epoch"))?;
    let carried = Owner::new(Arc::clone(owner.name()), epoch);
    let carried = carried.map_err(|error| Error::session(ErrorKind::InvalidOwner, *id).because(error))?;
    loop {
        let record = Arc::new(Record::clone(&held.record).with_owner(Some(carried.clone())));
        match context.store.update(id, &record, &held.version, held.usage()).await {
            Ok(Update::Updated(_)) => return Ok(()),
            // Ended by somebody else: nothing is left to keep.
            Ok(Update::Gone) => return Ok(()),
            Ok(Update::Conflict(_)) => {}
            // What is there now tells whether it arrived; if it arrives late, it says the same once more.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {}
            Err(error) => return Err(failed("update", id)(error)),
        }
        within(deadline, id)?;
        // Not `find`: the session is revoked at this moment.
        let now = context.store.load(id).await.map_err(failed("load", id))?;
        let Some(now) = now.filter(|now| !now.is_expired(context.clock.now())) else { return Ok(()) };
        match now.record.owner() {
            Some(present) if *present == carried => return Ok(()),
            Some(present) if *present == owner && now.record.kind() == RecordKind::Session => held = now,
            // Renewed, given to another owner, or carried into an epoch of somebody else's making.
            _ => return Ok(()),
        }
    }
}

/// The sessions that the store lists for an owner. A store that can't list lists none: removing what is revoked only tidies up.
async fn listed(context: &Context, owner: &str) -> Vec<(SessionId, Stored)> {
    match context.list_stored(owner).await {
        // A record may have been loaded after it was listed, and be a tombstone by then.
        Ok(listed) => listed.into_iter().filter(|(_, stored)| stored.record.is_session()).collect(),
        Err(error) if error.kind() == StoreErrorKind::Unsupported => Vec::new(),
        Err(error) => {
            tracing::warn!(target: TARGET, %error, "an owner's sessions not listed: what is revoked expires unused");
            Vec::new()
        }
    }
}

/// Removes an owner's revoked sessions, as far as the store lists them and it goes well: they are dead either way.
///
/// Those are the ones without the present epoch, since who has logged in meanwhile has that and stays; and those that
/// were there `before` the epoch was renewed, whatever epoch somebody carried them into since.
async fn remove_listed(
    context: &Context,
    owner: &Arc<str>,
    before: &[(SessionId, Stored)],
    keep: Option<&SessionId>,
) -> u64 {
    let before: HashSet<_> = before.iter().map(|(id, _)| id).collect();
    let now = listed(context, owner).await;
    let present = match context.store.owner_epoch(owner).await {
        Ok(present) => present,
        Err(error) => {
            tracing::warn!(target: TARGET, %error, "revoked sessions not removed: they expire unused");
            return 0;
        }
    };
    let mut removed = 0;
    for (id, stored) in now {
        let epoch = stored.record.owner().map(Owner::epoch);
        if keep == Some(&id) || (epoch == present && !before.contains(&id)) {
            continue;
        }
        match end_listed(context, owner, &id, &stored.version).await {
            Ok(Ended::Done(id) | Ended::Unsure(id)) => {
                removed += 1;
                context.emit(EventKind::Destroyed { id });
            }
            Ok(Ended::Absent | Ended::Superseded) => {}
            Err(error) => {
                tracing::warn!(
                    target: TARGET,
                    { session.id = %id, %error },
                    "revoked session not removed: it expires unused"
                );
            }
        }
    }
    removed
}
