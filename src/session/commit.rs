//! One commit of a request: what it has to do, and how the session continues from it.

use std::sync::Arc;

use tracing::{Instrument, Span};

use super::{
    attempt::Written,
    changes::{Logged, TokenChange, replay},
    commit_start::{Begun, CommitStart},
    draft::Draft,
    find::Follow,
    live::{Doomed, Live, Origin},
    policy::ConflictPolicy,
    request_session::RequestSession,
    work::Work,
    write::write,
};
use crate::{
    error::{Error, ErrorKind, Result},
    events::{EventKind, NoSessionReason, span},
    id::SessionId,
    lifetime::CookieLifetime,
    store::{SessionStore, Touch},
};

/// What a commit has to do.
#[allow(
    clippy::large_enum_variant,
    reason = "it is made once for a commit, taken apart at once, and not kept across an await"
)]
enum Plan {
    Nothing,
    Touch(Live),
    Write(Work, CommitStart),
}

impl RequestSession {
    /// Ends the sessions that the request destroys and writes its changes. The caller must hold `committing`. `begun` is
    /// what was already done of this commit.
    pub(super) async fn commit(&self, begun: Begun) -> Result<()> {
        let Begun { span, refused, .. } = begun;
        let span = span.unwrap_or_else(|| self.commit_span());
        let commit = async {
            // Boxed in pieces so that no allocation is larger than 1 KiB: larger ones are slow.
            if self.has_doomed() {
                Box::pin(self.destroy_doomed()).await?;
            }
            let failure = self.state().failures.for_response.take();
            if let Some(failure) = failure {
                return Err(failure);
            }
            let (plan, idle) = self.plan();
            drop(idle);
            match plan {
                Plan::Nothing => Ok(()),
                Plan::Touch(live) => {
                    // A failed touch does not change the response.
                    let _ = Box::pin(self.touch_now(live)).await;
                    Ok(())
                }
                Plan::Write(mut work, start) => {
                    work.refused = refused;
                    let outcome = Box::pin(write(&self.context, &mut work)).await;
                    self.finish_write(work, start, outcome)?;
                    // A `destroy` during the commit also ends the session that the commit has just written.
                    if self.has_doomed() {
                        Box::pin(self.destroy_doomed()).await?;
                    }
                    Ok(())
                }
            }
        };
        commit.instrument(span).await
    }

    /// Returns the span of a commit, which is disabled unless debug spans are enabled.
    pub(super) fn commit_span(&self) -> Span {
        if span::are_wanted() { span::commit(self.state().id()) } else { Span::none() }
    }

    /// Continues from what a write has stored or, if it failed, from what it has found out.
    fn finish_write(&self, work: Work, start: CommitStart, outcome: Result<Option<Written>>) -> Result<()> {
        self.state().ending.revoked.retain(|id| work.revoked.contains(id));
        match outcome {
            Ok(written) => {
                drop(work);
                self.adopt_written(written, start);
                Ok(())
            }
            Err(error) => {
                let id = start.id;
                self.note_failure(work, start);
                self.emit_blocked(id, &error);
                Err(error)
            }
        }
    }

    /// Records what a failed write has found out.
    fn note_failure(&self, work: Work, start: CommitStart) {
        let mut state = self.state();
        state.is_revoked = work.is_revoked;
        if state.ending.destroys == start.destroys {
            state.failures.newer = work.newer.map(Box::new);
            state.failures.unsure = work.unsure.map(|unsure| Box::new((unsure, start)));
        } else {
            // The request has destroyed its session in the meantime. That includes the one that this write may have
            // left.
            state.ending.doomed.extend(work.unsure.map(|unsure| Doomed { id: unsure.to, live: None }));
        }
    }

    /// Decides what a commit has to do. The log is copied and the draft stays, so that reads still see the changes.
    ///
    /// Also returns the log if it changes nothing. It must be dropped with no lock held.
    fn plan(&self) -> (Plan, Vec<Logged>) {
        let mut state = self.state();
        let now = self.context.clock.recent();
        let is_saved = state.is_always_saved(self.settings()) || state.is_first_use_unrecorded(&self.context, now);
        if state.changes_token() || state.draft.is_dirty() || is_saved {
            // With `exclusive`, the new token is sent with the response, so a `save` before it leaves the renewal to
            // the final commit. If `save` renewed, another request could take the lease under the new id while this
            // handler is still running.
            let defers_renewal =
                self.is_exclusive && !state.response_started() && state.token_change == TokenChange::Renew;
            let token_change = if defers_renewal { TokenChange::Keep } else { state.token_change };
            if defers_renewal && !state.draft.is_dirty() {
                return (Plan::Nothing, Vec::new());
            }
            state.is_changing_token = token_change > TokenChange::Keep || state.live().is_none();
            let work = Work {
                origin: state.origin.clone(),
                draft: state.draft.clone(),
                log: state.log.copy(),
                token_change,
                rejects: self.is_exclusive || self.settings().conflicts == ConflictPolicy::Reject,
                is_ended: state.live().is_some_and(|live| state.is_ended_beside(live)),
                is_periodic: state.is_periodic,
                // A request whose lease has run out must not overwrite the session of the next holder. Taking a lease
                // changes the version and no data, so equal data doesn't rule out another holder.
                merges_same_data: !self.is_exclusive && !self.settings().holds_lease,
                follow: if state.response_started() { Follow::Link } else { Follow::Forward },
                revoked: state.ending.revoked.clone(),
                newer: None,
                unsure: None,
                is_revoked: false,
                refused: None,
            };
            state.log.planned = state.log.last;
            let ended_beside = state.ending.beside.len();
            let shown = work.draft.clone();
            let (id, last, destroys) = (state.origin.id(), state.log.last, state.ending.destroys);
            let start = CommitStart { id, shown, last, destroys, ended_beside, defers_renewal };
            return (Plan::Write(work, start), Vec::new());
        }
        let idle = state.take_idle_log();
        match state.live() {
            Some(live) if state.is_touch_due(self.settings(), now) => (Plan::Touch(live.clone()), idle),
            _ => (Plan::Nothing, idle),
        }
    }

    /// Reports a write that would have brought back an ended or superseded session.
    fn emit_blocked(&self, id: Option<SessionId>, error: &Error) {
        let (Some(id), ErrorKind::Gone | ErrorKind::Superseded) = (id, error.kind()) else { return };
        {
            let mut state = self.state();
            // A renewal by the layer itself is not a write by the application.
            let is_quiet = !state.has_changes() || state.is_blocked;
            state.is_blocked |= !is_quiet;
            if is_quiet {
                return;
            }
        }
        self.context.emit(EventKind::WriteBlocked { id, error });
    }

    /// Continues from the stored state after a commit. Changes made during the commit are replayed on top.
    pub(super) fn adopt_written(&self, written: Option<Written>, start: CommitStart) {
        let committed: Vec<_>;
        {
            let mut state = self.state();
            state.is_changing_token = false;
            let Some(Written { live, token }) = written else { return };
            let record = Arc::clone(&live.stored.record);
            if state.ending.destroys != start.destroys {
                state.ending.doomed.push(Doomed { id: live.id, live: Some(live) });
                return;
            }
            // Usually no change was made during the commit, so the whole log moves out.
            committed = state.log.take_committed(start.last);
            if !start.defers_renewal && state.token_change_number <= start.last {
                state.token_change = TokenChange::Keep;
            }
            // Whatever was ended before this write is not the session that it has stored.
            let before = start.ended_beside.min(state.ending.beside.len());
            state.ending.beside.drain(..before);
            // If this request has renewed the session, it did not come with the new token.
            let is_forwarded = live.is_forwarded || (token.is_some() && record.renewed_millis().is_some());
            state.adopt(Live { is_forwarded, ..live }, &start.shown);
            if let Some(token) = token {
                let is_kept = record.lifetime().cookie() == CookieLifetime::Persistent;
                let left = || record.absolute_limit().duration_since(self.context.clock.now()).unwrap_or_default();
                state.notes.cookie = Some((token, is_kept.then(left)));
            }
            if state.log.changes.is_empty() {
                drop(state);
                return drop(committed);
            }
        }
        drop(committed);
        self.rebuild();
    }

    /// Rebuilds the draft from the stored record and the log. If a closure fails, the log is dropped and the next
    /// commit fails.
    pub(super) fn rebuild(&self) {
        loop {
            let (base, log, revision) = {
                let state = self.state();
                let base = state.live().map(|live| Arc::clone(&live.stored.record));
                (base, state.log.copy(), state.log.revision)
            };
            let draft = replay(base.clone(), &log);
            drop(log);
            let mut state = self.state();
            if state.log.revision != revision {
                continue;
            }
            state.log.revision += 1;
            let dropped = match draft {
                Ok(draft) => {
                    state.draft = draft;
                    Vec::new()
                }
                Err(error) => {
                    state.draft = Draft::new(base);
                    // Holding the error back in `held_back` is not enough: the next `save` would find nothing to do and
                    // succeed.
                    state.failures.for_response = Some(error);
                    std::mem::take(&mut state.log.changes)
                }
            };
            drop(state);
            drop(dropped);
            return;
        }
    }

    /// Extends the session and records the new times in this request's state.
    pub(crate) async fn touch_now(&self, live: Live) -> Result<()> {
        let usage = live.usage(&live.stored.record, self.context.clock.now());
        match self.context.store.touch(&live.id, usage).await {
            Ok(Touch::Touched) => {
                self.context.emit(EventKind::Touched { id: live.id, record: &live.stored.record });
                let mut state = self.state();
                state.wants_touch = false;
                if let Origin::Live(now) = &mut state.origin
                    && now.id == live.id
                {
                    now.stored.used_at = usage.used_at;
                    now.stored.expires_at = usage.expires_at;
                }
                Ok(())
            }
            Ok(Touch::Gone) => {
                self.context.no_session(NoSessionReason::Unknown, &live.id, None);
                Err(Error::session(ErrorKind::Gone, live.id))
            }
            Err(error) => {
                let error = error.during("touch").on(&live.id);
                self.context.emit(EventKind::TouchFailed { id: live.id, error: &error });
                Err(error.into())
            }
        }
    }
}
