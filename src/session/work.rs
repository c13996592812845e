//! The input of a commit, and how it is adapted when another request has written first.

use std::{sync::Arc, time::SystemTime};

use super::{
    changes::{Change, TokenChange, changes_owner, replay},
    context::Context,
    draft::Draft,
    find::{Follow, Found},
    live::{Live, Origin, Refused, Unsure},
    policy::ConflictPolicy,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::{SessionId, TokenCheck},
    record::{Owner, Record, renewed_value},
    store::{SessionStore, Stored, Usage},
};

/// The input of a commit. It owns its copy of the log, since a reference to closures would have to live across an
/// await.
pub(crate) struct Work {
    pub(crate) origin: Origin,
    pub(crate) draft: Draft,
    pub(crate) log: Vec<Change>,
    pub(crate) token_change: TokenChange,
    /// A conflict makes the commit fail.
    pub(crate) rejects: bool,
    /// The handler has ended the session by its owner or its id.
    pub(crate) is_ended: bool,
    /// The new token is due to the layer's periodic renewal, not to the handler.
    pub(crate) is_periodic: bool,
    /// Under a policy that rejects conflicts, another request's write that changed no data is not a conflict.
    pub(crate) merges_same_data: bool,
    /// How far a renewed session is followed. A stream holds it for longer than old tokens are served.
    pub(crate) follow: Follow,
    /// Sessions of the request's tokens that are revoked, and must end before a fresh session begins.
    pub(crate) revoked: Vec<SessionId>,
    /// The stored state, if a conflict could not be merged.
    pub(crate) newer: Option<Origin>,
    /// A move to a new token that was not answered.
    pub(crate) unsure: Option<Box<Unsure>>,
    /// The session is revoked, possibly for a moment only.
    pub(crate) is_revoked: bool,
    /// The update that this commit begins with, if the store has refused it already.
    pub(crate) refused: Option<Refused>,
}

impl Work {
    /// Returns the owner that the commit gives a session: at each login, or if the session was not this owner's before.
    pub(super) fn joined_owner(&self) -> Option<Arc<str>> {
        let owner = self.draft.owner()?;
        let before = match &self.origin {
            Origin::Live(live) if self.token_change < TokenChange::Login => live.stored.record.owner(),
            Origin::Live(_) | Origin::None | Origin::Superseded { .. } => None,
        };
        (before.map(Owner::name) != Some(owner)).then(|| Arc::clone(owner))
    }

    /// Returns the sessions that this one replaces.
    pub(super) fn replaced_ids(&self) -> Vec<SessionId> {
        self.origin.id().into_iter().chain(self.revoked.iter().copied()).collect()
    }

    /// Whether the stored record has the data that this request has seen, so that there is nothing to reject. If not,
    /// keeps the stored state for a handler that discards its changes and continues. This costs one load, and only
    /// after a failure.
    pub(super) async fn meets_same_data(&mut self, context: &Context, live: &Live, newer: Option<Stored>) -> bool {
        let Ok(Found::Live(now)) = context.find_again(live, self.follow, newer).await else { return false };
        if self.merges_same_data && now.stored.record.has_data_of(&live.stored.record) {
            return true;
        }
        self.newer = Some(Origin::Live(now));
        false
    }

    /// Replays the changes on the newer record.
    pub(super) async fn rebase(&mut self, context: &Context, live: &Live, newer: Option<Stored>) -> Result<()> {
        match context.find_again(live, self.follow, newer).await? {
            Found::Live(now) => {
                let was_renewed = now.id != live.id;
                self.refuse_unknown_owner(&now).inspect_err(|_| self.newer = Some(Origin::Live(now.clone())))?;
                if was_renewed && self.token_change == TokenChange::Renew {
                    // Two requests renew at the same time. One renewal is enough, and the first one hands out the
                    // token.
                    self.token_change = TokenChange::Keep;
                }
                let is_exact = self.log.iter().any(|change| matches!(change, Change::Exactly(_)));
                // A request without changes that only renews has nothing to write over what others have written.
                let is_merged = was_renewed || is_exact || self.log.is_empty();
                if context.settings.conflicts != ConflictPolicy::LastWriteWins || is_merged {
                    let replayed = replay(Some(Arc::clone(&now.stored.record)), &self.log);
                    self.draft = replayed.inspect_err(|_| self.newer = Some(Origin::Live(now.clone())))?;
                }
                self.origin = Origin::Live(now);
                Ok(())
            }
            Found::Absent => self.start_over(live.id),
            Found::Revoked => self.meet_revocation(live.id),
            // The caller's loop decides: a login continues with a fresh session.
            Found::Superseded { is_linked } => self.fresh(Origin::Superseded { id: live.id, is_linked }),
        }
    }

    /// Fails if the request would take the session from an owner that it didn't see. It would do so under the same
    /// token, since it saw no owner to take the session from.
    ///
    /// A and B load an anonymous session. B sets Ann as its owner and commits. A has set Bob as its owner. If A's
    /// change were merged, Ann's token would lead to Bob's session.
    pub(super) fn refuse_unknown_owner(&self, live: &Live) -> Result<()> {
        if self.token_change < TokenChange::Handover && changes_owner(&live.stored.record, &self.log) {
            return Err(Error::session(ErrorKind::Conflict, live.id));
        }
        Ok(())
    }

    /// Handles a session that is gone.
    ///
    /// A request that logs in or renews puts its own changes into a fresh session, without the old data. Any other
    /// request is too late. So is one that the layer was about to renew: its handler has not asked for a new session.
    pub(super) fn start_over(&mut self, id: SessionId) -> Result<()> {
        if self.token_change == TokenChange::Keep || self.is_periodic {
            return Err(Error::session(ErrorKind::Gone, id));
        }
        self.fresh(Origin::None)
    }

    /// Handles a session that is revoked, possibly for a moment only: `revoke_others` also revokes the session that it
    /// keeps, and then carries it over. So a login ends the session before it continues with a fresh one. Any other
    /// change is too late.
    pub(super) fn meet_revocation(&mut self, id: SessionId) -> Result<()> {
        self.is_revoked = true;
        if self.token_change < TokenChange::Login {
            return Err(Error::session(ErrorKind::Gone, id));
        }
        self.fresh(Origin::Superseded { id, is_linked: true })
    }

    fn fresh(&mut self, origin: Origin) -> Result<()> {
        self.origin = origin;
        self.draft = replay(None, &self.log)?;
        Ok(())
    }

    /// Builds the record to be stored. For a new token, the caller sets the check.
    pub(super) async fn record(
        &mut self,
        context: &Context,
        base: Option<&Arc<Record>>,
        now: SystemTime,
    ) -> Result<Record> {
        // A login begins a new session, and so does taking a session from its owner.
        let kept = base.filter(|_| self.token_change < TokenChange::Handover);
        let created_at = kept.map_or(now, |kept| kept.created_at());
        let renewed = match self.token_change {
            TokenChange::Keep => kept.and_then(|kept| kept.renewed_millis()).map(u64::to_le_bytes),
            TokenChange::Renew => base.map(|_| renewed_value(now)),
            TokenChange::Handover | TokenChange::Login => None,
        };
        let check = base.map_or(TokenCheck::from_bytes([0; 16]), |base| base.check());
        let record = self.draft.record(&context.settings, check, created_at, renewed)?;
        let owner = match (self.draft.chosen_owner().cloned(), base.and_then(|base| base.owner())) {
            (Some(name), owner) => {
                match owner.filter(|owner| *owner.name() == name && self.token_change < TokenChange::Login) {
                    Some(owner) => Some(owner.clone()),
                    None => Some(Box::pin(enroll(context, name, &record, now)).await?),
                }
            }
            (None, owner) => owner.filter(|_| self.draft.owner().is_some()).cloned(),
        };
        if let (Some(owner), Some(kept)) = (&owner, kept)
            && record.absolute_limit() > kept.absolute_limit()
        {
            // The session now lives longer than it was to live at its login. The epoch that it is compared with must
            // live as long.
            Box::pin(enroll(context, Arc::clone(owner.name()), &record, now)).await?;
        }
        self.draft.check_growth(&context.settings, base)?;
        Ok(record.with_owner(owner))
    }
}

/// Returns the owner with its current epoch, which lives at least as long as this session can.
async fn enroll(context: &Context, name: Arc<str>, record: &Record, now: SystemTime) -> Result<Owner> {
    let usage = Usage { used_at: now, expires_at: record.absolute_limit() };
    let epoch = context.store.ensure_epoch(&name, usage).await;
    let epoch = epoch.map_err(|error| Error::from(error.during("ensure_epoch")))?;
    Owner::new(name, epoch).map_err(|error| Error::request(ErrorKind::Other).because(error))
}
