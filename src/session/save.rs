//! Commits that the application asks for, and what happens to those that fail.

use std::sync::Arc;

use super::{
    attempt::resolve_unsure, changes::Logged, commit_start::Begun, failures::HeldBack, request_session::RequestSession,
    session::Session,
};
use crate::error::{Error, ErrorKind, Result};

/// A running commit that the application asked for. If its future is dropped where no runtime can continue it, its
/// outcome is unknown.
struct Asked<'a> {
    request: &'a RequestSession,
    destroys: u64,
    is_over: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // A closure that panics when it runs again does so before anything is written. Nothing has failed then, and the
        // changes stay for the next commit.
        if std::thread::panicking() {
            self.request.state().is_changing_token = false;
        } else if !self.is_over {
            self.request.hold_back(Error::request(ErrorKind::OutcomeUnknown), self.destroys, None);
        }
    }
}

impl RequestSession {
    /// Commits because the application asks for it. If the commit fails, nothing is written until the application asks
    /// again.
    ///
    /// `own` is the number of a change that is withdrawn on failure, since its caller gets the error and would make the
    /// change again.
    pub(crate) async fn save(&self, own: Option<u64>) -> Result<()> {
        let lost_commits = self.state().failures.lost_commits;
        let _one = self.committing.lock().await;
        let destroys = self.begin_save(own, lost_commits)?;
        let mut asked = Asked { request: self, destroys, is_over: false };
        let outcome = match self.resume_unsure().await {
            Ok(()) => self.commit(Begun::default()).await,
            Err(error) => Err(error),
        };
        asked.is_over = true;
        if let Err(error) = &outcome {
            self.hold_back(error.clone(), destroys, own);
        }
        outcome
    }

    /// Fails if the changes were withdrawn after an unknown outcome, or if they can't be saved any more. Otherwise
    /// clears what was held back, since the application asks again. Returns how often the session was destroyed.
    fn begin_save(&self, own: Option<u64>, lost_commits: u64) -> Result<u64> {
        let (refused, destroys) = {
            let mut state = self.state();
            // Two clones of a session save at the same time. A's commit includes B's closure, and its outcome is
            // unknown, so both closures are withdrawn. B must not find an empty log and report success for a change
            // that may not have happened.
            let is_lost = match own {
                Some(own) => own > state.log.committed && !state.log.changes.iter().any(|logged| logged.number == own),
                None => state.failures.lost_commits != lost_commits,
            };
            if is_lost {
                return Err(state
                    .failures
                    .lost_closures
                    .clone()
                    .unwrap_or_else(|| Error::request(ErrorKind::OutcomeUnknown)));
            }
            state.log.planned = state.log.last;
            let refused = state.require_savable();
            if refused.is_ok() {
                state.failures.held_back = None;
            }
            (refused, state.ending.destroys)
        };
        if let (Err(error), Some(_)) = (&refused, own) {
            self.hold_back(error.clone(), destroys, own);
        }
        refused.map(|()| destroys)
    }

    /// Follows up on a move to a new token that the latest commit sent without getting an answer, and continues from its
    /// outcome.
    async fn resume_unsure(&self) -> Result<()> {
        let unsure = {
            let mut state = self.state();
            if state.response_started() { None } else { state.failures.unsure.take() }
        };
        let Some(unsure) = unsure else { return Ok(()) };
        let (unsure, start) = *unsure;
        match Box::pin(resolve_unsure(&self.context, unsure)).await {
            Ok(None) => Ok(()),
            Ok(moved) => {
                self.adopt_written(moved, start);
                Ok(())
            }
            Err((unsure, error)) => {
                self.state().failures.unsure = Some(Box::new((unsure, start)));
                Err(error)
            }
        }
    }

    /// Holds the changes back after a commit that the application asked for has failed.
    ///
    /// They stay in the log, so that the application can try again. After an unknown outcome, closures are withdrawn,
    /// since they could run on their own result.
    fn hold_back(&self, error: Error, destroys: u64, own: Option<u64>) {
        let withdrawn: Vec<_> = {
            let mut state = self.state();
            state.is_changing_token = false;
            // If the session was destroyed since, the changes were dropped, so there is nothing to hold back.
            if state.ending.destroys != destroys {
                return;
            }
            let is_unknown = error.kind() == ErrorKind::OutcomeUnknown;
            let planned = state.log.planned;
            // Changes made during the commit rely on it as much as later ones do.
            state.failures.held_back = Some(HeldBack { error: error.clone(), written_since: state.log.last > planned });
            state.log.revision += 1;
            let withdrawn = |logged: &mut Logged| {
                Some(logged.number) == own || (is_unknown && logged.change.is_run() && logged.number <= planned)
            };
            let withdrawn: Vec<_> = state.log.changes.extract_if(.., withdrawn).collect();
            if is_unknown && withdrawn.iter().any(|logged| logged.change.is_run()) {
                state.failures.lost_commits += 1;
                state.failures.lost_closures = Some(error);
            }
            withdrawn
        };
        if !withdrawn.is_empty() {
            self.rebuild();
        }
    }
}

/// # Saving
impl Session {
    /// Commits the changes that this request has made so far. Later reads see what other requests have written in the
    /// meantime, and a later 5xx does not undo the commit.
    ///
    /// The operation runs to completion even if this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone), [`Superseded`](ErrorKind::Superseded), [`Conflict`](ErrorKind::Conflict),
    /// [`Contended`](ErrorKind::Contended), [`TooLarge`](ErrorKind::TooLarge),
    /// [`TooManySessions`](ErrorKind::TooManySessions) at a login, the store's errors, and those of closures that run
    /// again.
    ///
    /// **A change that failed to save does not happen later unless it is requested again.** The changes stay in the
    /// session, so reads still see them and `save` can be tried again. The end of the request writes neither these
    /// changes nor any made after the failure: it drops them and reports
    /// [`ChangesDropped`](crate::EventKind::ChangesDropped). If nothing was changed after the failure, the handler's
    /// response stands. Otherwise that response relies on changes that are missing, so this error replaces it. To take
    /// the changes back and go on writing to the session, use [`discard`](Self::discard).
    ///
    /// After [`OutcomeUnknown`](ErrorKind::OutcomeUnknown), the changes may have been written. Values that were set are
    /// kept for another try. `update` closures are dropped, since they could run on their own result.
    #[doc(alias = "commit")]
    pub async fn save(&self) -> Result<()> {
        let request = Arc::clone(&self.request);
        self.request.context.outliving.run_on(async move { request.save(None).await }).await
    }

    /// Takes back the unsaved changes of this request, including a login or a renewal. A session that this request
    /// destroys still ends.
    ///
    /// After a [`Conflict`](ErrorKind::Conflict), reads see what is stored now, so that a handler can compute its
    /// change again.
    #[doc(alias("rollback", "reset"))]
    pub fn discard(&self) {
        let dropped = self.request.state().discard();
        // Drop the closures with no lock held: one may hold a clone of this session.
        drop(dropped);
    }
}
