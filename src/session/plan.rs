//! What one commit of a request has to do, and how the session goes on from it.

use std::sync::Arc;

use tracing::Instrument;

use super::{
    commit::{Work, Written},
    limit::write,
    load::Follow,
    request::Shared,
    settings::ConflictPolicy,
    state::{Doomed, Live, Logged, Renewal, Snapshot},
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::{EventKind, span},
    id::SessionId,
    lifetime::CookieLifetime,
};

/// What a commit has to do.
#[allow(
    clippy::large_enum_variant,
    reason = "it is made once for a commit, taken apart at once, and not kept across an await"
)]
enum Plan {
    Nothing,
    Touch(Live),
    Write(Work, Snapshot),
}

impl Shared {
    /// Destroys doomed sessions and writes the changes.
    pub(super) async fn commit(&self) -> Result<()> {
        if !span::are_wanted() {
            return self.commit_now().await;
        }
        let span = span::commit(self.state().id());
        self.commit_now().instrument(span).await
    }

    async fn commit_now(&self) -> Result<()> {
        // Boxed in pieces, so that no block is larger than 1 KiB: larger ones are slow to allocate.
        if self.has_doomed() {
            Box::pin(self.destroy_doomed()).await?;
        }
        let failure = self.state().failure.take();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let (plan, idle) = self.plan();
        drop(idle);
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Touch(live) => {
                // A touch that fails does not change the answer.
                let _ = Box::pin(self.touch_now(live)).await;
                Ok(())
            }
            Plan::Write(mut work, snapshot) => {
                let id = work.origin.id();
                let unfinished = snapshot.clone();
                let written = Box::pin(write(&self.settings, &mut work)).await;
                self.state().revoked.retain(|id| work.revoked.contains(id));
                let written = written.inspect_err(|error| {
                    let mut state = self.state();
                    state.is_revoked = work.is_revoked;
                    if state.ended == unfinished.ended {
                        state.newer = work.newer.take();
                        state.unsure = work.unsure.take().map(|unsure| (unsure, unfinished));
                    } else {
                        // Destroyed while it was at work: that means what it may have left as well.
                        let left = work.unsure.take().map(|unsure| Doomed { id: unsure.to, live: None });
                        state.doomed.extend(left);
                    }
                    drop(state);
                    self.tell_blocked(id, error);
                })?;
                drop(work);
                self.settle(written, snapshot);
                // A `destroy` during the commit also ends the session that the commit has just written.
                if self.has_doomed() {
                    Box::pin(self.destroy_doomed()).await?;
                }
                Ok(())
            }
        }
    }

    /// Decides what a commit has to do. The log is copied and the draft stays, so that reads still see the changes.
    /// Also returns a log that changes nothing, to be dropped with no lock held.
    fn plan(&self) -> (Plan, Vec<Logged>) {
        let mut state = self.state();
        let now = self.settings.clock.recent();
        let is_saved = state.is_always_saved(&self.settings) || state.is_first_use_untold(&self.settings, now);
        if state.renews() || state.draft.is_dirty() || is_saved {
            // With `exclusive`, the new token is sent with the response. If `save` renewed already, a request that
            // waits for the lease under the new id could get it before this handler is done.
            let is_early = self.exclusive && !state.response_started && state.renewal == Renewal::Renew;
            let renewal = if is_early { Renewal::Keep } else { state.renewal };
            if is_early && !state.draft.is_dirty() {
                return (Plan::Nothing, Vec::new());
            }
            state.is_renewing = renewal > Renewal::Keep || state.live().is_none();
            let work = Work {
                origin: state.origin.clone(),
                draft: state.draft.clone(),
                log: state.changes(),
                renewal,
                rejects: self.exclusive || self.settings.conflicts == ConflictPolicy::Reject,
                is_ended: state.live().is_some_and(|live| state.is_ended_beside(live)),
                is_periodic: state.is_periodic,
                // Whoever has waited for a lease must not overwrite the next holder, whose lease changes the version alone.
                merges_same_data: !self.exclusive && !self.settings.holds_lease,
                follow: if state.response_started { Follow::Link } else { Follow::Forward },
                revoked: state.revoked.clone(),
                newer: None,
                unsure: None,
                is_revoked: false,
            };
            state.planned = state.last;
            let ended_beside = state.ended_beside.len();
            let shown = work.draft.clone();
            let snapshot = Snapshot { shown, last: state.last, ended: state.ended, ended_beside, is_early };
            return (Plan::Write(work, snapshot), Vec::new());
        }
        let idle = state.take_idle_log();
        match state.live() {
            Some(live) if state.is_touch_due(&self.settings, now) => (Plan::Touch(live.clone()), idle),
            _ => (Plan::Nothing, idle),
        }
    }

    /// Reports a write that would have brought its session back.
    fn tell_blocked(&self, id: Option<SessionId>, error: &Error) {
        let (Some(id), ErrorKind::Gone | ErrorKind::Superseded) = (id, error.kind()) else { return };
        {
            let mut state = self.state();
            // What the layer renews by itself is no write of the application.
            let is_quiet = !state.has_changes() || state.is_blocked;
            state.is_blocked |= !is_quiet;
            if is_quiet {
                return;
            }
        }
        self.settings.emit(EventKind::WriteBlocked { id, error });
    }

    /// Continues from the stored state after a commit. Changes that came during the commit are replayed on top.
    pub(super) fn settle(&self, written: Option<Written>, snapshot: Snapshot) {
        let committed: Vec<_>;
        {
            let mut state = self.state();
            state.is_renewing = false;
            let Some(Written { live, token }) = written else { return };
            let record = Arc::clone(&live.stored.record);
            if state.ended != snapshot.ended {
                state.doomed.push(Doomed { id: live.id, live: Some(live) });
                return;
            }
            // Usually no change came during the commit, and the whole log is handed out.
            let later = state.log.iter().position(|logged| logged.number > snapshot.last).unwrap_or(state.log.len());
            let later = state.log.split_off(later);
            committed = std::mem::replace(&mut state.log, later);
            state.committed = snapshot.last;
            if !snapshot.is_early && state.renewal_number <= snapshot.last {
                state.renewal = Renewal::Keep;
            }
            // What was ended before this was written is not this.
            let before = snapshot.ended_beside.min(state.ended_beside.len());
            state.ended_beside.drain(..before);
            // A request that has renewed the session has not come with its new token.
            let is_forwarded = live.is_forwarded || (token.is_some() && record.renewed_millis().is_some());
            state.go_on_from(Live { is_forwarded, ..live }, &snapshot.shown);
            if let Some(token) = token {
                let left = record.absolute_limit().duration_since(self.settings.clock.now()).unwrap_or_default();
                let is_kept = record.lifetime().cookie() == CookieLifetime::Persistent;
                state.answer.cookie = Some((token, is_kept.then_some(left)));
            }
            if state.log.is_empty() {
                drop(state);
                return drop(committed);
            }
        }
        drop(committed);
        self.rebuild();
    }
}
