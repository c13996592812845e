//! One request's session, shared by everything in the request: loaded once, and committed at the end.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, OnceCell},
};
use tracing::Instrument;

use super::{
    exclusive::load_in_turn,
    load::{LoadFailure, Loaded, load},
    settings::Settings,
    state::{Answer, EndedBeside, Held, Live, Logged, Origin, Renewal, State},
};
use crate::{
    cookie::Tokens,
    error::{Error, ErrorKind, Result},
    events::{DropReason, EventKind, NoSessionReason},
    id::SessionId,
    store::{SessionStore, Touch, Usage},
};

/// The state that all clones of a session share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    loaded: OnceCell<Result<(), LoadFailure>>,
    state: Mutex<State>,
    /// Allows one commit at a time. Held across awaits, unlike `state`.
    pub(super) committing: AsyncMutex<()>,
    /// Requests of this session run one after another, so any conflict at a commit is an error.
    pub(super) exclusive: bool,
    /// The request's cookies have been read.
    was_read: AtomicBool,
}

/// What the request must do after the handler has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The request did not use the session.
    Untouched,
    /// The session was loaded, and there is nothing to write.
    Clean,
    /// There is something to write.
    Commit {
        /// The commit renews or destroys, and must not be interrupted.
        to_its_end: bool,
    },
    /// There is nothing to write, but the lease must be given back.
    EndTurn,
}

impl Shared {
    pub(crate) fn new(settings: Arc<Settings>) -> Arc<Self> {
        Arc::new(Self {
            exclusive: settings.exclusive.is_some(),
            was_read: AtomicBool::new(false),
            settings,
            loaded: OnceCell::new(),
            state: Mutex::default(),
            committing: AsyncMutex::const_new(()),
        })
    }

    /// A session outside of a request.
    pub(crate) fn detached(settings: Arc<Settings>, origin: Origin) -> Arc<Self> {
        Arc::new(Self {
            settings,
            loaded: OnceCell::new_with(Some(Ok(()))),
            state: Mutex::new(State::new(origin)),
            committing: AsyncMutex::const_new(()),
            exclusive: false,
            was_read: AtomicBool::new(true),
        })
    }

    /// Loads the session that the tokens name. Within one request this happens once; later calls share the result.
    pub(crate) async fn load(&self, tokens: &Tokens) -> Result<(), LoadFailure> {
        let outcome = self.loaded.get_or_init(|| async {
            let (Loaded { origin, unopened, revoked, .. }, turn) = match &self.settings.exclusive {
                // Boxed, so that the future doesn't grow for layers without turns. After the response has begun,
                // nothing would end a turn, so none is taken.
                Some(exclusive) if !self.state().response_started => {
                    Box::pin(load_in_turn(&self.settings, exclusive, tokens)).await?
                }
                _ => (load(&self.settings, tokens).await?, None),
            };
            let mut state = self.state();
            // Nothing was changed yet, except that `destroy_now` of a lazy session may have come first. `begin` keeps
            // what it dooms.
            state.begin(origin);
            state.unopened = unopened;
            state.revoked = revoked;
            // If the turn came after the request was over, give it back, with no lock held.
            let late = if state.response_started { turn } else { std::mem::replace(&mut state.turn, turn) };
            drop(state);
            drop(late);
            Ok(())
        });
        outcome.await.clone()
    }

    /// Whether loading the session waits for a turn.
    pub(crate) fn takes_turns(&self) -> bool {
        self.exclusive && !self.was_asked_for()
    }

    /// Whether loading the session was tried, successfully or not.
    pub(crate) fn was_asked_for(&self) -> bool {
        self.loaded.initialized()
    }

    /// Returns `true` at the first call, so that problems with the request's cookies are reported once.
    pub(crate) fn is_first_reading(&self) -> bool {
        // Relaxed is enough: no other data depends on it, and of two concurrent callers both may report.
        let first = !self.was_read.load(Ordering::Relaxed);
        if first {
            self.was_read.store(true, Ordering::Relaxed);
        }
        first
    }

    /// Notes that the answer depends on the request's cookies, whether or not a session is loaded.
    pub(crate) fn consult(&self) {
        self.state().consulted = true;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // None of the application's code runs under this lock, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the request's handler has ended sessions by owner or id, not through this session.
    pub(crate) fn has_ended_beside(&self, ended: EndedBeside) {
        self.state().ended_beside.push(ended);
    }

    /// Called when the handler has answered, or was dropped. From now on only the following commit can set a cookie.
    /// `saves` says whether the answer lets changes be saved.
    pub(crate) fn finish(&self, saves: bool) -> Finish {
        let (dropped, reason, id);
        let finish = {
            let mut state = self.state();
            state.response_started = true;
            if !self.was_asked_for() && state.turn.is_none() && state.is_untouched() {
                return Finish::Untouched;
            }
            id = state.id();
            let settings = &*self.settings;
            let now = settings.clock.recent();
            (dropped, reason) = self.take_back(&mut state, saves);
            if saves && state.failure.is_none() && state.is_renewal_due(settings, now) {
                state.renew(Renewal::Renew);
                state.is_periodic = true;
            }
            let must_write = state.renews()
                || state.draft.is_dirty()
                // A `save` that is still running is about to set a cookie on this response.
                || state.is_renewing
                || state.failure.is_some()
                || (saves
                    && (state.is_always_saved(settings)
                        || state.is_touch_due(settings, now)
                        || state.is_first_use_untold(settings, now)));
            state.is_answering = true;
            state.answered = state.last;
            state.planned = state.last;
            if !state.doomed.is_empty() || must_write {
                // A renewal, a logout, and the ending of an owner's sessions to make room must not stop half way.
                let changes_owner = settings.limit.is_some() && state.draft.new_owner().is_some();
                let to_its_end = !state.doomed.is_empty() || state.renews() || state.is_renewing || changes_owner;
                Finish::Commit { to_its_end }
            } else {
                state.is_answering = false;
                if state.turn.is_some() { Finish::EndTurn } else { Finish::Clean }
            }
        };
        self.tell_dropped(reason, id);
        drop(dropped);
        finish
    }

    /// Takes back changes that must not be saved at the end of the request. The caller drops the returned log with no
    /// lock held.
    ///
    /// Changes that were reported as failed must not be saved now. If the handler has changed more since, its answer
    /// relies on changes that are missing, so the failure replaces it.
    fn take_back(&self, state: &mut State, saves: bool) -> (Vec<Logged>, Option<DropReason>) {
        let has_changes = state.has_changes();
        if !saves {
            return (state.discard(), has_changes.then_some(DropReason::Response));
        }
        let Some(Held { error, written_since }) = state.held.take() else { return (state.take_idle_log(), None) };
        let failure = state.failure.take();
        let dropped = state.discard();
        state.failure = failure.or(written_since.then_some(error));
        (dropped, has_changes.then_some(DropReason::FailedSave))
    }

    fn tell_dropped(&self, reason: Option<DropReason>, id: Option<SessionId>) {
        if let Some(reason) = reason {
            self.settings.emit(EventKind::ChangesDropped { id, reason });
        }
    }

    /// Takes what the response has to say of the session. Each part is returned once.
    pub(crate) fn take_answer(&self) -> Answer {
        std::mem::take(&mut self.state().answer)
    }

    /// Makes the last commit of a request, and drops changes that could not be written. `Gone` is not an error here: it
    /// is as if the write had come before the end.
    pub(crate) async fn commit_response(&self) -> Result<()> {
        // Taken out of the state, so that it is given back even if the commit panics or is dropped.
        let turn = self.state().turn.take();
        let (outcome, is_handlers) = self.commit_last().await;
        if let Some(turn) = turn {
            Box::pin(turn.end()).await;
        }
        let Err(error) = outcome else { return Ok(()) };
        let (id, is_revoked) = {
            let state = self.state();
            (state.id(), state.is_revoked)
        };
        // Blocked writes and logins refused by the session limit are reported elsewhere.
        if !matches!(error.kind(), ErrorKind::Gone | ErrorKind::Superseded | ErrorKind::TooManySessions) {
            self.settings.emit(EventKind::CommitFailed { id, error: &error });
        }
        // A revoked session is not gone for certain. A loads it. B ends the owner's other sessions, and for a moment A's is
        // revoked as well. A commits just then, after a conflict. If the answer were a success, A's session would live on
        // without what A has written.
        let is_gone = error.kind() == ErrorKind::Gone && !is_revoked;
        if is_gone || !is_handlers { Ok(()) } else { Err(error) }
    }

    /// Also returns whether the handler has asked for any of it. If not, a failure does not change its answer: the layer
    /// itself renews, or marks a first use, and the next request makes up for it. A stream that has written since, and
    /// whose changes are written along with that, learns of the failure when it saves.
    async fn commit_last(&self) -> (Result<()>, bool) {
        let _one = self.committing.lock().await;
        let (failed, is_handlers) = {
            let mut state = self.state();
            // A `save` that was running when the handler answered may have failed since.
            (state.held.take(), state.has_work_of_the_handler(&self.settings))
        };
        let outcome = match failed {
            Some(Held { error, .. }) if self.state().has_changes() => {
                if self.has_doomed() { Box::pin(self.destroy_doomed()).await } else { Ok(false) }.and(Err(error))
            }
            _ => self.commit().await,
        };
        // Before the next commit can begin: a stream's `save` that waits must not write what the answer says has failed.
        let (dropped, has_more) = {
            let mut state = self.state();
            state.is_answering = false;
            let Err(error) = &outcome else { return (Ok(()), is_handlers) };
            (state.give_up(error), !state.log.is_empty())
        };
        drop(dropped);
        if has_more {
            self.rebuild();
        }
        (outcome, is_handlers)
    }

    /// Gives the lease back, if this request holds it.
    pub(crate) async fn end_turn(&self) {
        let turn = self.state().turn.take();
        if let Some(turn) = turn {
            turn.end().await;
        }
    }

    /// Handles a request that was dropped before it was answered: its changes are dropped, but its destroys still
    /// happen.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let (dropped, reason, id, doomed, turn) = {
            let mut state = self.state();
            state.response_started = true;
            let reason = state.has_changes().then_some(DropReason::Request);
            let id = state.id();
            (state.discard(), reason, id, !state.doomed.is_empty(), state.turn.take())
        };
        self.tell_dropped(reason, id);
        drop(dropped);
        // Gives the lease back in a background task.
        drop(turn);
        if let (true, Ok(runtime)) = (doomed, Handle::try_current()) {
            let shared = Arc::clone(self);
            let destroy = async move {
                if let Err(error) = shared.destroy_doomed().await {
                    shared.settings.emit(EventKind::CommitFailed { id: None, error: &error });
                }
            };
            runtime.spawn(destroy.in_current_span());
        }
    }

    /// Extends the session, and records the new times in this request's state.
    pub(crate) async fn touch_now(&self, live: Live) -> Result<()> {
        let mut usage = Usage::at(&live.stored.record, self.settings.clock.now());
        if live.is_forwarded {
            // No request has presented the new token yet, so no use of it is recorded.
            usage.used_at = live.stored.used_at;
        }
        match self.settings.store.touch(&live.id, usage).await {
            Ok(Touch::Touched) => {
                self.settings.emit(EventKind::Touched { id: live.id, record: &live.stored.record });
                let mut state = self.state();
                if let Origin::Live(now) = &mut state.origin
                    && now.id == live.id
                {
                    now.stored.used_at = usage.used_at;
                    now.stored.expires_at = usage.expires_at;
                }
                Ok(())
            }
            Ok(Touch::Gone) => {
                self.settings.no_session(NoSessionReason::Unknown, &live.id, None);
                Err(Error::session(ErrorKind::Gone, live.id))
            }
            Err(error) => {
                let error = error.during("touch").on(&live.id);
                self.settings.emit(EventKind::TouchFailed { id: live.id, error: &error });
                Err(error.into())
            }
        }
    }
}

/// Runs a future to its end even if the caller is dropped.
pub(crate) async fn to_its_end<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let Ok(runtime) = Handle::try_current() else { return future.await };
    match runtime.spawn(future.in_current_span()).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.response_started && state.is_unsaved() {
            self.settings.emit(EventKind::ChangesDropped { id: state.id(), reason: DropReason::Unsaved });
        }
    }
}

/// Shows the state of the session, but none of its values.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let stored = state.live().map(|live| &live.stored);
        f.debug_struct("Session")
            .field("id", &state.live().map(|live| live.id))
            .field("owner", &state.draft.owner())
            .field("entries", &state.draft)
            .field("created_at", &stored.map(|stored| stored.record.created_at()))
            .field("expires_at", &stored.map(|stored| stored.expires_at))
            .field("changed", &state.has_changes())
            .finish_non_exhaustive()
    }
}
