//! The life of one request's session, in order:
//!
//! | step | where |
//! |---|---|
//! | a handle is put into the request's extensions | `middleware/service` |
//! | the handler asks for the session: its cookies become tokens | `middleware/session_handle`, `middleware/lazy` |
//! | [`open`](RequestSession::open), [`load_once`](RequestSession::load_once): the session that the tokens name | here, `load`, with [`exclusive`](crate::SessionLayerBuilder::exclusive) `load_leased` |
//! | the handler reads and changes it | `access`, `update`, `owner`, `token`, ... |
//! | it may save or destroy it at once | `save`, `destroy` |
//! | [`handler_done`](RequestSession::handler_done): what is due | here, `due` |
//! | [`commit_at_once`](RequestSession::commit_at_once), over a store that answers at once | `at_once` |
//! | [`final_commit`](RequestSession::final_commit) otherwise | here, `commit`, `write`, `attempt` |
//! | [`take_notes`](RequestSession::take_notes): what the response's headers say | here, `middleware/headers` |
//!
//! A request that is dropped before it is answered ends in [`abandon`](RequestSession::abandon).

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::{
    changes::{Logged, TokenChange},
    commit_start::Begun,
    due::Due,
    failures::HeldBack,
    live::Origin,
    load::{LoadFailure, Loaded, LoadedAtOnce, load_at_once, load_tokens},
    load_leased::load_leased,
    request_session::RequestSession,
    response_notes::ResponseNotes,
    session::Session,
    state::{Phase, State},
};
use crate::{
    cookie::Tokens,
    error::{ErrorKind, Result},
    events::{DropReason, EventKind},
    id::SessionId,
};

impl RequestSession {
    /// Returns the session that the tokens name, or a new one. If the request has two live sessions, notes that, so that
    /// the response removes the cookies.
    pub(crate) async fn open(self: &Arc<Self>, tokens: &Tokens) -> Result<Session> {
        let outcome = self.load_once(tokens).await;
        if let Err(LoadFailure::TwoSessions) = &outcome {
            self.state().notes.two_sessions = true;
        }
        outcome?;
        Ok(Session::of(Arc::clone(self)))
    }

    /// Loads the session that the tokens name. This happens once per request; later calls share the result.
    async fn load_once(&self, tokens: &Tokens) -> Result<(), LoadFailure> {
        let outcome = self.loaded.get_or_init(|| async {
            let asked = if self.is_exclusive {
                None
            } else {
                match load_at_once(&self.context, tokens) {
                    LoadedAtOnce::Live(live) => {
                        self.state().begin(Origin::Live(live));
                        return Ok(());
                    }
                    LoadedAtOnce::NoToken => return Ok(()),
                    LoadedAtOnce::Left(asked) => asked,
                }
            };
            let (Loaded { origin, unopened, revoked, .. }, lease) = match self.settings().exclusive {
                // Boxed, so that the future doesn't grow for layers without leases. No lease is taken once the response
                // has begun, since nothing would release it.
                Some(times) if !self.state().response_started() => {
                    Box::pin(load_leased(&self.context, times, tokens)).await?
                }
                _ => (load_tokens(&self.context, tokens, asked).await?, None),
            };
            let mut state = self.state();
            // Nothing was changed yet, except that `destroy_now` of a lazy session may have come first. `begin` keeps
            // the sessions that it doomed.
            state.begin(origin);
            state.ending.unopened = unopened;
            state.ending.revoked = revoked;
            // If the lease came after the request was over, release it with no lock held.
            let late = if state.response_started() { lease } else { std::mem::replace(&mut state.lease, lease) };
            drop(state);
            drop(late);
            Ok(())
        });
        outcome.await.clone()
    }

    /// Notes that the handler has answered or failed, and returns what is due. From now on, only the final commit can
    /// set a cookie. `saves` says whether the response allows changes to be saved.
    pub(crate) fn handler_done(&self, saves: bool) -> Due {
        let (dropped, reason, id);
        let due = {
            let mut state = self.state();
            state.begin_response();
            if !self.was_asked_for() && state.lease.is_none() && state.is_untouched() {
                return Due::Untouched;
            }
            id = state.id();
            let settings = self.settings();
            let now = self.context.clock.recent();
            (dropped, reason) = self.take_back(&mut state, saves);
            if saves && state.failures.for_response.is_none() && state.is_renewal_due(settings, now) {
                state.change_token(TokenChange::Renew);
                state.is_periodic = true;
            }
            let must_write = state.changes_token()
                || state.draft.is_dirty()
                // A `save` that is still running is about to set a cookie on this response.
                || state.is_changing_token
                || state.failures.for_response.is_some()
                || (saves
                    && (state.is_always_saved(settings)
                        || state.is_touch_due(settings, now)
                        || state.is_first_use_unrecorded(&self.context, now)));
            state.phase = Phase::Answering;
            state.log.last_of_handler = state.log.last;
            state.log.planned = state.log.last;
            if !state.ending.doomed.is_empty() || must_write {
                // A renewal, a logout, and ending an owner's sessions to make room must not stop halfway.
                let changes_owner = settings.sessions_per_owner.is_some() && state.draft.chosen_owner().is_some();
                let runs_on = !state.ending.doomed.is_empty()
                    || state.changes_token()
                    || state.is_changing_token
                    || changes_owner;
                Due::Commit { runs_on }
            } else {
                state.phase = Phase::Answered;
                if state.lease.is_some() { Due::ReleaseLease } else { Due::Clean }
            }
        };
        self.emit_dropped(reason, id);
        drop(dropped);
        due
    }

    /// Takes back changes that must not be saved at the end of the request. The caller must drop the returned log with
    /// no lock held.
    ///
    /// Changes that were reported as failed must not be saved now. If the handler has made more changes since, its
    /// response relies on changes that are missing, so the failure replaces it.
    fn take_back(&self, state: &mut State, saves: bool) -> (Vec<Logged>, Option<DropReason>) {
        if !saves {
            let has_changes = state.has_changes();
            return (state.discard(), has_changes.then_some(DropReason::Response));
        }
        let Some(HeldBack { error, written_since }) = state.failures.held_back.take() else {
            return (state.take_idle_log(), None);
        };
        let has_changes = state.has_changes();
        let failure = state.failures.for_response.take();
        let dropped = state.discard();
        state.failures.for_response = failure.or(written_since.then_some(error));
        (dropped, has_changes.then_some(DropReason::FailedSave))
    }

    fn emit_dropped(&self, reason: Option<DropReason>, id: Option<SessionId>) {
        if let Some(reason) = reason {
            self.context.emit(EventKind::ChangesDropped { id, reason });
        }
    }

    /// Makes the final commit of the request, and drops changes that could not be written. An error replaces the
    /// handler's response.
    ///
    /// `Gone` is not an error here: it is as if the write had come before the end of the session.
    ///
    /// `begun` is what a [`commit_at_once`](Self::commit_at_once) has left.
    pub(crate) async fn final_commit(&self, begun: Begun) -> Result<()> {
        // Taken out of the state, so that it is released even if the commit panics or is dropped.
        let lease = self.state().lease.take();
        let (outcome, is_handlers) = self.commit_or_give_up(begun).await;
        if let Some(lease) = lease {
            Box::pin(lease.release()).await;
        }
        self.report_final(outcome, is_handlers)
    }

    /// Reports the failure of a final commit. Returns it if it replaces the handler's response.
    pub(super) fn report_final(&self, outcome: Result<()>, is_handlers: bool) -> Result<()> {
        let Err(error) = outcome else { return Ok(()) };
        let (id, is_revoked) = {
            let state = self.state();
            (state.id(), state.is_revoked)
        };
        // Blocked writes and logins refused by the session limit are reported elsewhere.
        if !matches!(error.kind(), ErrorKind::Gone | ErrorKind::Superseded | ErrorKind::TooManySessions) {
            self.context.emit(EventKind::CommitFailed { id, error: &error });
        }
        // A revoked session is not certainly gone. A loads it. B ends the owner's other sessions, which revokes A's
        // session as well for a moment. A commits just then, after a conflict. If the response were a success, A's
        // session would live on without what A has written.
        let is_gone = error.kind() == ErrorKind::Gone && !is_revoked;
        if is_gone || !is_handlers { Ok(()) } else { Err(error) }
    }

    /// Also returns whether the handler has asked for any part of the commit. If it has not, a failure does not change
    /// its response: the layer itself renews or records a first use, and the next request makes up for it. If a
    /// stream's later changes were written along with that, the stream learns of the failure when it saves.
    async fn commit_or_give_up(&self, begun: Begun) -> (Result<()>, bool) {
        let _one = self.committing.lock().await;
        let (failed, is_handlers) = {
            let mut state = self.state();
            // A `save` that was running when the handler answered may have failed since.
            let is_handlers = begun.is_handlers.unwrap_or_else(|| state.has_work_of_the_handler(self.settings()));
            (state.failures.held_back.take(), is_handlers)
        };
        let outcome = match failed {
            Some(HeldBack { error, .. }) if self.state().has_changes() => {
                if self.has_doomed() { Box::pin(self.destroy_doomed()).await } else { Ok(false) }.and(Err(error))
            }
            _ => self.commit(begun).await,
        };
        self.give_up_failed(&outcome);
        (outcome, is_handlers)
    }

    /// Ends the phase in which a cookie can be set, and drops the changes if the final commit has failed.
    ///
    /// The caller must still hold `committing`: a stream's waiting `save` must not write what the response reports as
    /// failed.
    pub(super) fn give_up_failed(&self, outcome: &Result<()>) {
        let (dropped, has_more) = {
            let mut state = self.state();
            state.phase = Phase::Answered;
            let Err(error) = outcome else { return };
            (state.give_up(error), !state.log.changes.is_empty())
        };
        drop(dropped);
        if has_more {
            self.rebuild();
        }
    }

    /// Takes what the response must say about the session. Each part is returned once.
    pub(crate) fn take_notes(&self) -> ResponseNotes {
        std::mem::take(&mut self.state().notes)
    }

    /// Releases the lease if this request holds it.
    pub(crate) async fn release_lease(&self) {
        let lease = self.state().lease.take();
        if let Some(lease) = lease {
            lease.release().await;
        }
    }

    /// Handles a request that was dropped before it was answered. Its changes are dropped, but the sessions that it
    /// destroys still end.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let (dropped, reason, id, doomed, lease) = {
            let mut state = self.state();
            state.begin_response();
            let reason = state.has_changes().then_some(DropReason::Request);
            let id = state.id();
            (state.discard(), reason, id, !state.ending.doomed.is_empty(), state.lease.take())
        };
        self.emit_dropped(reason, id);
        drop(dropped);
        // Releases the lease in a background task.
        drop(lease);
        if let (true, Ok(runtime)) = (doomed, Handle::try_current()) {
            let (request, operation) = (Arc::clone(self), self.context.outliving.begin());
            let destroy = async move {
                let _operation = operation;
                if let Err(error) = request.destroy_doomed().await {
                    request.context.emit(EventKind::CommitFailed { id: None, error: &error });
                }
            };
            runtime.spawn(destroy.in_current_span());
        }
    }
}
