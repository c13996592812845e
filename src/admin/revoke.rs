//! Ends the sessions of one owner: all, all but one, or one.

use std::{collections::HashSet, fmt::Display, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Sessions, sessions::during};
use crate::{
    error::{Error, ErrorKind, Result},
    events::{EventKind, trace},
    id::SessionId,
    record::{Owner, Record, RecordKind},
    session::{Caller, Context, Ended, EndedBeside, Live, check_deadline, end_listed, end_owned, failed},
    store::{SessionStore, StoreErrorKind, Stored, Update, Usage},
};

/// # Ending an owner's sessions
impl Sessions {
    /// Ends all sessions of an owner (OWASP ASVS 5.0, 7.4.2 and 7.4.3). When it returns, no session that was logged in
    /// before is live, and changes that requests under way still save are never read.
    ///
    /// Afterwards, the sessions that the store lists are ended one by one to free their space. Those that can't be
    /// ended now expire unused. Returns how many were ended, including sessions that had been revoked earlier, or 0 if
    /// the store can't list.
    ///
    /// A concurrent login of the same owner comes either before or after the revocation.
    ///
    /// # Errors
    ///
    /// If the store can't change the epoch. The sessions may then live on.
    pub async fn revoke_all(&self, owner: impl Display) -> Result<u64> {
        let (context, caller, owner) = (Arc::clone(&self.context), Caller::present(), Arc::from(owner.to_string()));
        let name = Arc::clone(&owner);
        let revoked: Result<u64> = self
            .context
            .outliving
            .run_on(async move {
                // Revocations of one owner wait in a line in this process. If the front isn't reached in time, revoke
                // anyway.
                let _front = context.owner_front(&owner, context.deadline()).await;
                let before = listed(&context, &owner).await;
                renew_epoch(&context, &owner).await?;
                let removed = remove_listed(&context, &owner, &before, None).await;
                context.emit(EventKind::OwnerRevoked { kept: None, removed });
                Ok(removed)
            })
            .await;
        caller.has_ended(revoked.is_ok().then_some(EndedBeside::Owner { name, kept: None }));
        revoked
    }

    /// Ends all sessions of an owner except one, usually that of the request (ASVS 7.4.3). If `keep` is not a live
    /// session of this owner, changes nothing and returns `false`.
    ///
    /// First, all sessions are revoked as by [`revoke_all`](Self::revoke_all). Then the kept session is carried over
    /// into the new epoch, by a write that names its version. **Between these two steps, the kept session is revoked
    /// as well:**
    ///
    /// - If another request loads it at that moment, that request has no session. If another request meets a conflict
    ///   at that moment, it can't save or renew.
    /// - A logout or a login at that moment ends the kept session all the same. So does a request that begins a fresh
    ///   session, since the token of the fresh session replaces the browser's.
    /// - If the second step fails, this call returns an error. The kept session has then ended as well, unless the
    ///   write arrived after all. An error never brings a session back.
    ///
    /// For the handler of the kept session, this is a change from outside. The handler's own changes are merged with
    /// it. Under [`ConflictPolicy::Reject`](crate::ConflictPolicy::Reject), or before a `login`, the handler should
    /// [`reload`](crate::Session::reload) first.
    ///
    /// It does not undo a concurrent `revoke_all`. In one process, the two take turns. Between processes, on stores
    /// that list exactly, `revoke_all` ends the kept session. On memcached, if the owner's list has lost the kept
    /// session, that session may survive a `revoke_all` of another process.
    ///
    /// # Errors
    ///
    /// The store's errors, and [`Contended`](ErrorKind::Contended) if the kept session changes again and again, or if
    /// the turn doesn't come in time.
    pub async fn revoke_others(&self, owner: impl Display, keep: &SessionId) -> Result<bool> {
        let (context, caller, owner) = (Arc::clone(&self.context), Caller::present(), Arc::from(owner.to_string()));
        let (name, keep) = (Arc::clone(&owner), *keep);
        let kept: Result<Option<SessionId>> = self
            .context
            .outliving
            .run_on(async move {
                let deadline = context.deadline();
                let front = context.owner_front(&owner, deadline).await;
                let _front = front.ok_or_else(|| Error::session(ErrorKind::Contended, keep))?;
                // If the session was renewed meanwhile, it has a new id.
                let Some(Live { id: keep, stored, .. }) = context.find_owned(&owner, &keep).await? else {
                    return Ok(None);
                };
                let before = listed(&context, &owner).await;
                renew_epoch(&context, &owner).await?;
                carry_into_epoch(&context, &keep, stored, deadline).await?;
                let removed = remove_listed(&context, &owner, &before, Some(&keep)).await;
                context.emit(EventKind::OwnerRevoked { kept: Some(keep), removed });
                Ok(Some(keep))
            })
            .await;
        let kept = kept?;
        caller.has_ended(kept.map(|kept| EndedBeside::Owner { name, kept: Some([keep, kept]) }));
        Ok(kept.is_some())
    }

    /// Ends one session of an owner (ASVS 7.5.2). If it is not a live session **of this owner**, changes nothing and
    /// returns `false`: an id from a form can't end another owner's session.
    ///
    /// When it returns `true`, no request that is under way brings the session back, not even one that renews its
    /// token.
    ///
    /// # Errors
    ///
    /// The store's errors, and [`Damaged`](ErrorKind::Damaged) if the record can't be opened to read its owner. Use
    /// [`end`](Self::end) for such a session.
    pub async fn revoke_one(&self, owner: impl Display, id: &SessionId) -> Result<bool> {
        let (context, owner, id) = (Arc::clone(&self.context), owner.to_string(), *id);
        let caller = Caller::present();
        let ended: Result<Option<SessionId>> = self
            .context
            .outliving
            .run_on(async move {
                let ended = end_owned(&context, &owner, &id).await?;
                if let Some(id) = &ended {
                    trace::owned_session_ended(id);
                }
                Ok(ended)
            })
            .await;
        let ended = ended?;
        caller.has_ended(ended.map(|ended| EndedBeside::Session([id, ended])));
        Ok(ended.is_some())
    }
}

/// Replaces the owner's epoch by a new one.
async fn renew_epoch(context: &Context, owner: &str) -> Result<()> {
    let usage = Usage::keep_for(context.clock.now(), Duration::ZERO);
    let renewed = match context.store.renew_epoch(owner, usage).await {
        // The first call may have succeeded. Renewing the epoch twice does no harm.
        Err(error) if error.may_have_happened() => context.store.renew_epoch(owner, usage).await,
        outcome => outcome,
    };
    renewed.map_err(during("renew_epoch"))
}

/// Writes the owner's present epoch into a session that was live before the epoch was renewed.
async fn carry_into_epoch(context: &Context, id: &SessionId, mut stored: Stored, deadline: Instant) -> Result<()> {
    let Some(owner) = stored.record.owner().cloned() else { return Ok(()) };
    let until = stored.record.absolute_limit();
    let usage = Usage { used_at: context.clock.now(), expires_at: until };
    let epoch = context.store.ensure_epoch(owner.name(), usage).await.map_err(during("ensure_epoch"))?;
    let carried = Owner::new(Arc::clone(owner.name()), epoch);
    let carried = carried.map_err(|error| Error::session(ErrorKind::InvalidOwner, *id).because(error))?;
    loop {
        let record = Arc::new(Record::clone(&stored.record).with_owner(Some(carried.clone())));
        match context.store.update(id, &record, &stored.version, stored.usage()).await {
            Ok(Update::Updated(_)) => return Ok(()),
            // Another request has ended it: nothing is left to keep.
            Ok(Update::Gone) => return Ok(()),
            Ok(Update::Conflict(_)) => {}
            // The load below shows whether the write arrived. If it arrives later, it conflicts or writes the same
            // again.
            Err(error) if error.may_have_happened() => {}
            Err(error) => return Err(failed("update", id)(error)),
        }
        check_deadline(deadline, id)?;
        // Not `find`: the session is revoked at this moment.
        let now = context.store.load(id).await.map_err(failed("load", id))?;
        let Some(now) = now.filter(|now| !now.is_expired(context.clock.now())) else { return Ok(()) };
        match now.record.owner() {
            Some(present) if *present == carried => return Ok(()),
            Some(present) if *present == owner && now.record.kind() == RecordKind::Session => stored = now,
            // It was renewed, given to another owner, or carried into another epoch by another call.
            _ => return Ok(()),
        }
    }
}

/// Returns the sessions that the store lists for an owner, or none if it can't list: removing revoked sessions only
/// frees space.
async fn listed(context: &Context, owner: &str) -> Vec<(SessionId, Stored)> {
    match context.list_stored(owner).await {
        // A record may have been loaded after its id was listed, and be a tombstone by then.
        Ok(listed) => listed.into_iter().filter(|(_, stored)| stored.record.is_session()).collect(),
        Err(error) if error.kind() == StoreErrorKind::Unsupported => Vec::new(),
        Err(error) => {
            trace::revoked_not_listed(&error);
            Vec::new()
        }
    }
}

/// Ends an owner's revoked sessions to free their space, as far as the store lists them. Failures are only logged,
/// since a revoked session can't be loaded anyway. Returns how many were ended.
///
/// A session is ended if it doesn't have the present epoch; a login since the renewal of the epoch has it, and is
/// kept. A session that was listed `before` the renewal is ended in any epoch, since a concurrent `revoke_others` may
/// have carried it over.
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
            trace::none_removed(&error);
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
            Ok(Ended::Done(id) | Ended::Presumed(id)) => {
                removed += 1;
                context.emit(EventKind::Destroyed { id });
            }
            Ok(Ended::Absent | Ended::Superseded) => {}
            Err(error) => trace::revoked_not_removed(&id, &error),
        }
    }
    removed
}
