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
    changes::Draft,
    commit::{Work, Written, look_after},
    end::{End, end, must_have_ended},
    exclusive::load_in_turn,
    limit::write,
    load::{Follow, LoadFailure, Loaded, load},
    settings::{ConflictPolicy, Settings},
    state::{Answer, Doomed, EndedBeside, Held, Live, Logged, Origin, Renewal, Snapshot, State},
};
use crate::{
    cookie::Tokens,
    error::{Error, ErrorKind, Result},
    events::{DropReason, EventKind, NoSessionReason, span},
    id::SessionId,
    lifetime::CookieLifetime,
    store::{SessionStore, Touch, Usage},
};

/// The state that all clones of a session share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    loaded: OnceCell<Result<(), LoadFailure>>,
    state: Mutex<State>,
    /// Allows one commit at a time. Held across awaits, unlike `state`.
    committing: AsyncMutex<()>,
    /// Requests of this session run one after another, so any conflict at a commit is an error.
    exclusive: bool,
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

/// A running commit that the application asked for. If its future is dropped where no runtime can continue it, its
/// outcome is unknown.
struct Asked<'a> {
    shared: &'a Shared,
    ended: u64,
    is_over: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // A closure that panics when it runs again does so before anything is written. So nothing has failed, and the
        // changes stay for the next commit.
        if std::thread::panicking() {
            self.shared.state().is_renewing = false;
        } else if !self.is_over {
            self.shared.hold_back(Error::request(ErrorKind::OutcomeUnknown), self.ended, None);
        }
    }
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
            let (Loaded { origin, unopened, .. }, turn) = match &self.settings.exclusive {
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

    /// Commits because the application asks for it. If that fails, nothing is written until the application asks again.
    ///
    /// `own` is the number of a change that is withdrawn on failure: its caller learns of the error and would make the
    /// change again.
    pub(crate) async fn save(&self, own: Option<u64>) -> Result<()> {
        let unknowns = self.state().unknowns;
        let _one = self.committing.lock().await;
        let ended = self.begin_save(own, unknowns)?;
        let mut asked = Asked { shared: self, ended, is_over: false };
        let outcome = match self.look_after().await {
            Ok(()) => self.commit().await,
            Err(error) => Err(error),
        };
        asked.is_over = true;
        if let Err(error) = &outcome {
            self.hold_back(error.clone(), ended, own);
        }
        outcome
    }

    /// Fails if there is nothing left to save, or it can't be saved any more. Otherwise, lets go of what was held back: the
    /// application asks again.
    fn begin_save(&self, own: Option<u64>, unknowns: u64) -> Result<u64> {
        let (refused, ended) = {
            let mut state = self.state();
            // Two clones of a session save at once. A's commit takes B's closure along, and its outcome is unknown, so both
            // are withdrawn. B must not find an empty log, and report as done what may not have happened.
            let is_lost = match own {
                Some(own) => own > state.committed && !state.log.iter().any(|logged| logged.number == own),
                None => state.unknowns != unknowns,
            };
            if is_lost {
                return Err(state.unknown.clone().unwrap_or_else(|| Error::request(ErrorKind::OutcomeUnknown)));
            }
            state.planned = state.last;
            let refused = state.can_save();
            if refused.is_ok() {
                state.held = None;
            }
            (refused, state.ended)
        };
        if let (Err(error), Some(_)) = (&refused, own) {
            self.hold_back(error.clone(), ended, own);
        }
        refused.map(|()| ended)
    }

    /// If the last commit moved the session to a new token and was not answered: goes on from what has become of it.
    async fn look_after(&self) -> Result<()> {
        let unsure = {
            let mut state = self.state();
            if state.response_started { None } else { state.unsure.take() }
        };
        let Some((unsure, snapshot)) = unsure else { return Ok(()) };
        match Box::pin(look_after(&self.settings, unsure)).await {
            Ok(None) => Ok(()),
            Ok(moved) => {
                self.settle(moved, snapshot);
                Ok(())
            }
            Err((unsure, error)) => {
                self.state().unsure = Some((unsure, snapshot));
                Err(error)
            }
        }
    }

    /// Commits. If that fails, withdraws the change with this number.
    pub(crate) async fn save_own(&self, number: u64) -> Result<()> {
        self.save(Some(number)).await
    }

    /// Holds the changes back after a commit that the application asked for has failed.
    ///
    /// They stay in the log, so that it can try again. After an unknown outcome, closures are withdrawn, since they
    /// could run on their own result.
    fn hold_back(&self, error: Error, ended: u64, own: Option<u64>) {
        let withdrawn: Vec<_> = {
            let mut state = self.state();
            state.is_renewing = false;
            // A destroy since then has dropped the changes, so there is nothing to hold back.
            if state.ended != ended {
                return;
            }
            let is_unknown = error.kind() == ErrorKind::OutcomeUnknown;
            let planned = state.planned;
            // What came while the commit was at work counts on it as much as what comes later.
            state.held = Some(Held { error: error.clone(), written_since: state.last > planned });
            state.revision += 1;
            let withdrawn = |logged: &mut Logged| {
                Some(logged.number) == own || (is_unknown && logged.change.is_run() && logged.number <= planned)
            };
            let withdrawn: Vec<_> = state.log.extract_if(.., withdrawn).collect();
            if is_unknown && withdrawn.iter().any(|logged| logged.change.is_run()) {
                state.unknowns += 1;
                state.unknown = Some(error);
            }
            withdrawn
        };
        if !withdrawn.is_empty() {
            self.rebuild();
        }
    }

    /// Rebuilds the draft from the stored record and the log. If a closure fails, the next commit fails.
    fn rebuild(&self) {
        loop {
            let (base, log, revision) = {
                let state = self.state();
                let base = state.live().map(|live| Arc::clone(&live.stored.record));
                (base, state.changes(), state.revision)
            };
            let draft = Draft::replayed(base.clone(), &log);
            drop(log);
            let mut state = self.state();
            if state.revision != revision {
                continue;
            }
            state.revision += 1;
            let dropped = match draft {
                Ok(draft) => {
                    state.draft = draft;
                    Vec::new()
                }
                Err(error) => {
                    state.draft = Draft::new(base);
                    // Not only held back: to save again would find nothing to do, and be a success.
                    state.failure = Some(error);
                    std::mem::take(&mut state.log)
                }
            };
            drop(state);
            drop(dropped);
            return;
        }
    }

    /// Destroys doomed sessions and writes the changes.
    async fn commit(&self) -> Result<()> {
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
                let written = Box::pin(write(&self.settings, &mut work)).await.inspect_err(|error| {
                    let mut state = self.state();
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

    fn has_doomed(&self) -> bool {
        !self.state().doomed.is_empty()
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
                newer: None,
                unsure: None,
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

    /// Makes the last commit of a request, and drops changes that could not be written. `Gone` is not an error here: it
    /// is as if the write had come before the end.
    pub(crate) async fn commit_response(&self) -> Result<()> {
        let (turn, is_ours) = {
            let mut state = self.state();
            // The layer itself renews, or marks a first use. If that fails, the next request makes up for it.
            let is_ours = !state.is_unsaved() && state.failure.is_none() && !state.is_always_saved(&self.settings);
            // Taken out of the state, so that it is given back even if the commit panics or is dropped.
            (state.turn.take(), is_ours)
        };
        let outcome = self.commit_last().await;
        if let Some(turn) = turn {
            Box::pin(turn.end()).await;
        }
        let Err(error) = outcome else { return Ok(()) };
        let id = self.state().id();
        // Blocked writes and logins refused by the session limit are reported elsewhere.
        if !matches!(error.kind(), ErrorKind::Gone | ErrorKind::Superseded | ErrorKind::TooManySessions) {
            self.settings.emit(EventKind::CommitFailed { id, error: &error });
        }
        if error.kind() == ErrorKind::Gone || is_ours { Ok(()) } else { Err(error) }
    }

    async fn commit_last(&self) -> Result<()> {
        let _one = self.committing.lock().await;
        // A `save` that was running when the handler answered may have failed since.
        let failed = self.state().held.take();
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
            let Err(error) = &outcome else { return Ok(()) };
            (state.give_up(error), !state.log.is_empty())
        };
        drop(dropped);
        if has_more {
            self.rebuild();
        }
        outcome
    }

    /// Gives the lease back, if this request holds it.
    pub(crate) async fn end_turn(&self) {
        let turn = self.state().turn.take();
        if let Some(turn) = turn {
            turn.end().await;
        }
    }

    /// Destroys doomed sessions now, regardless of other failures. Returns `true` if a session was there.
    pub(crate) async fn destroy_doomed(&self) -> Result<bool> {
        let (mut destroyed, mut failure) = (false, None);
        loop {
            let Some(doomed) = self.state().doomed.last().cloned() else { break };
            let ended = match end(&self.settings, &doomed.id).await? {
                End::Done(id) => Some(id),
                End::Absent => match self.ended_already(&doomed) {
                    Ok(ended) => ended,
                    Err(error) => {
                        failure = Some(error);
                        None
                    }
                },
                // A login in between has moved the session to a new token, which this request does not know. The
                // tombstone stays, and so does the cookie that the login has set.
                End::Superseded => {
                    let error = Error::session(ErrorKind::Superseded, doomed.id);
                    self.settings.emit(EventKind::WriteBlocked { id: doomed.id, error: &error });
                    failure = Some(error);
                    None
                }
            };
            let mut state = self.state();
            state.doomed.retain(|other| other.id != doomed.id);
            if let Some(id) = ended {
                state.answer.destroyed = true;
                drop(state);
                destroyed = true;
                self.settings.emit(EventKind::Destroyed { id });
            }
        }
        match failure {
            // One that may live on is not made up for by another that was ended.
            Some(error) if !destroyed || error.kind() == ErrorKind::Unconfirmed => Err(error),
            _ => Ok(destroyed),
        }
    }

    /// Handles a doomed session that is absent. Returns its id if this request's handler has ended it, `None` if
    /// another has.
    fn ended_already(&self, doomed: &Doomed) -> Result<Option<SessionId>> {
        let Some(live) = &doomed.live else { return Ok(None) };
        if self.state().is_ended_beside(live) {
            return Ok(Some(live.id));
        }
        must_have_ended(&self.settings, live).map(|()| None)
    }

    /// Destroys the sessions that the tokens name, without opening their records.
    pub(crate) async fn destroy_unopened(self: &Arc<Self>, tokens: &Tokens) -> Result<bool> {
        let ids = tokens.iter().map(|token| token.identify(self.settings.cookie.bare_name()).0);
        self.state().doomed.extend(ids.map(|id| Doomed { id, live: None }));
        let shared = Arc::clone(self);
        to_its_end(async move { shared.destroy_doomed().await }).await
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

    /// Continues from the stored state after a commit. Changes that came during the commit are replayed on top.
    fn settle(&self, written: Option<Written>, snapshot: Snapshot) {
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
