//! One request's session, shared by everything in the request: loaded once, committed once.

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
    commit::{Work, Written},
    end::{End, end, must_have_ended},
    exclusive::load_in_turn,
    limit::write,
    load::{LoadFailure, Loaded, load},
    settings::{ConflictPolicy, Settings},
    state::{Answer, Doomed, EndedBeside, Held, Live, Logged, Origin, Renewal, State},
};
use crate::{
    cookie::Tokens,
    error::{Error, ErrorKind, Result},
    events::{DropReason, EventKind, NoSessionReason, span},
    id::SessionId,
    lifetime::CookieLifetime,
    store::{SessionStore, Touch, Usage},
};

/// What all clones of a session share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    loaded: OnceCell<Result<(), LoadFailure>>,
    state: Mutex<State>,
    /// One commit at a time; held across awaits, unlike `state`.
    committing: AsyncMutex<()>,
    /// Its requests run one after another, so what one of them saves over another's is a mistake.
    exclusive: bool,
    /// Somebody has read the request's cookies.
    was_read: AtomicBool,
}

/// What is left to do when the handler has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Nobody asked for the session.
    Untouched,
    /// It was looked at, and nothing is to be written.
    Clean,
    /// Something is to be written.
    Commit {
        /// It renews or destroys, and must not be given up half way.
        to_its_end: bool,
    },
    /// Nothing is to be written, and the lease to be given back.
    EndTurn,
}

/// What a commit is to do.
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made; a box would cost each write an allocation"
)]
enum Plan {
    Nothing,
    Touch(Live),
    Write(Work, Snapshot),
}

/// The state that a commit began with: what came later is not in it.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    /// The number of the last change in it.
    last: u64,
    /// How often the session had been destroyed.
    ended: u64,
    /// The renewal is left to a later commit.
    is_early: bool,
}

/// A commit that the application asked for, while it is at work. If its future is dropped (with no runtime to go on in), it may
/// or may not have happened.
struct Asked<'a> {
    shared: &'a Shared,
    ended: u64,
    is_over: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // A closure that panics when it runs again does so before anything is written: nothing has failed, and its changes
        // stay for the next commit.
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

    /// A session that comes from no request.
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
            let (Loaded { origin, unopened }, turn) = match &self.settings.exclusive {
                // Boxed: a layer without it has no larger future for it. After the response has begun nobody ends a
                // turn, so none is taken.
                Some(exclusive) if !self.state().response_started => {
                    Box::pin(load_in_turn(&self.settings, exclusive, tokens)).await?
                }
                _ => (load(&self.settings, tokens).await?, None),
            };
            let mut state = self.state();
            // Nothing was changed yet, but `destroy_now` of a lazy session may have come first: what it dooms stays.
            state.begin(origin);
            state.unopened = unopened;
            // A turn that came for a request that is over is given back, with no lock held.
            let late = if state.response_started { turn } else { std::mem::replace(&mut state.turn, turn) };
            drop(state);
            drop(late);
            Ok(())
        });
        outcome.await.clone()
    }

    /// Whether to load the session is to wait for a turn.
    pub(crate) fn takes_turns(&self) -> bool {
        self.exclusive && !self.was_asked_for()
    }

    /// Whether somebody asked for the session, with success or not.
    pub(crate) fn was_asked_for(&self) -> bool {
        self.loaded.initialized()
    }

    /// Whether the request's cookies are read for the first time: what is wrong with them is told once.
    pub(crate) fn is_first_reading(&self) -> bool {
        // Nobody else's writes depend on it; of two at once both may tell.
        let first = !self.was_read.load(Ordering::Relaxed);
        if first {
            self.was_read.store(true, Ordering::Relaxed);
        }
        first
    }

    /// The answer depends on the request's cookies, whether or not a session is loaded.
    pub(crate) fn consult(&self) {
        self.state().consulted = true;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No code of the application runs under this lock, so a poisoned one is as whole as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the request's handler has ended sessions in another way than through this one.
    pub(crate) fn has_ended_beside(&self, ended: EndedBeside) {
        self.state().ended_beside.push(ended);
    }

    /// The handler has answered, or was dropped: from now on no cookie can be set, but by the commit that follows. `saves`
    /// says whether the answer lets changes be saved.
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
                // A `save` in the background is about to have a cookie for this very response.
                || state.is_renewing
                || state.failure.is_some()
                || (saves && (state.is_always_saved(settings) || state.is_touch_due(settings, now)));
            if !state.doomed.is_empty() || must_write {
                // Half a renewal, a logout, or an owner's sessions ended to make room must not be all of it.
                let changes_owner = settings.limit.is_some() && state.draft.new_owner().is_some();
                let to_its_end = !state.doomed.is_empty() || state.renews() || state.is_renewing || changes_owner;
                Finish::Commit { to_its_end }
            } else if state.turn.is_some() {
                Finish::EndTurn
            } else {
                Finish::Clean
            }
        };
        self.tell_dropped(reason, id);
        drop(dropped);
        finish
    }

    /// Takes back what is not to be saved at the end of the request. What must be dropped with no lock held is returned.
    ///
    /// What the application was told has failed does not happen now. Where it has gone on writing since, its answer counts on
    /// what is missing, and gives way to the failure.
    fn take_back(&self, state: &mut State, saves: bool) -> (Vec<Logged>, Option<DropReason>) {
        let has_changes = state.has_changes();
        if !saves {
            return (state.discard(), has_changes.then_some(DropReason::Response));
        }
        let Some(Held { error, written_since }) = state.held.take() else { return (state.take_idle_log(), None) };
        if written_since {
            state.failure = Some(error);
        }
        (state.discard(), has_changes.then_some(DropReason::FailedSave))
    }

    fn tell_dropped(&self, reason: Option<DropReason>, id: Option<SessionId>) {
        if let Some(reason) = reason {
            self.settings.emit(EventKind::ChangesDropped { id, reason });
        }
    }

    /// What the response is to say. Each answer is handed out once.
    pub(crate) fn take_answer(&self) -> Answer {
        std::mem::take(&mut self.state().answer)
    }

    /// Commits because the application asks for it, and remembers if that fails: then nothing is written any more until it
    /// asks again.
    ///
    /// `own` is the number of a change that is withdrawn if it fails: the caller is told, and would make it again.
    pub(crate) async fn save(&self, own: Option<u64>) -> Result<()> {
        let _one = self.committing.lock().await;
        let ended = {
            let mut state = self.state();
            state.held = None;
            state.ended
        };
        let mut asked = Asked { shared: self, ended, is_over: false };
        let outcome = self.commit().await;
        asked.is_over = true;
        if let Err(error) = &outcome {
            self.hold_back(error.clone(), ended, own);
        }
        outcome
    }

    /// Commits, and withdraws the change of this number if that fails.
    pub(crate) async fn save_own(&self, number: u64) -> Result<()> {
        if let Err(error) = self.state().can_save() {
            let ended = self.state().ended;
            self.hold_back(error.clone(), ended, Some(number));
            return Err(error);
        }
        self.save(Some(number)).await
    }

    /// The application is told that its changes could not be committed.
    ///
    /// They stay, so that it can try again, but closures whose outcome is not known do not: they could run on their own
    /// result.
    fn hold_back(&self, error: Error, ended: u64, own: Option<u64>) {
        let withdrawn: Vec<_> = {
            let mut state = self.state();
            state.is_renewing = false;
            // What was destroyed since has nothing left to hold back.
            if state.ended != ended {
                return;
            }
            let is_unknown = error.kind() == ErrorKind::OutcomeUnknown;
            state.held = Some(Held { error, written_since: false });
            state.revision += 1;
            let withdrawn = |logged: &mut Logged| Some(logged.number) == own || (is_unknown && logged.change.is_run());
            state.log.extract_if(.., withdrawn).collect()
        };
        if !withdrawn.is_empty() {
            self.rebuild();
        }
    }

    /// Makes the draft anew: what is stored, with the log on it. A closure that fails there fails the next commit.
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
                    state.held = Some(Held { error, written_since: true });
                    std::mem::take(&mut state.log)
                }
            };
            drop(state);
            drop(dropped);
            return;
        }
    }

    /// Destroys what is doomed and writes what is changed.
    async fn commit(&self) -> Result<()> {
        if !span::are_wanted() {
            return self.commit_now().await;
        }
        let span = span::commit(self.state().id());
        self.commit_now().instrument(span).await
    }

    async fn commit_now(&self) -> Result<()> {
        // Boxed piece by piece, so that no block is larger than 1 KiB: those are slow to allocate.
        if self.has_doomed() {
            Box::pin(self.destroy_doomed()).await?;
        }
        if let Some(failure) = self.state().failure.take() {
            return Err(failure);
        }
        let (plan, idle) = self.plan();
        drop(idle);
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Touch(live) => {
                // Whatever comes of it, the answer stays as it is.
                let _ = Box::pin(self.touch_now(live)).await;
                Ok(())
            }
            Plan::Write(mut work, snapshot) => {
                let id = work.origin.id();
                let written = Box::pin(write(&self.settings, &mut work)).await.inspect_err(|error| {
                    let mut state = self.state();
                    state.newer = work.newer.take();
                    state.is_revoked = work.is_revoked;
                    drop(state);
                    self.tell_blocked(id, error);
                })?;
                drop(work);
                self.settle(written, snapshot);
                // A `destroy` that came during the commit means what the commit has made, too.
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

    /// What a commit is to do. The log is copied and the draft stays, so that reads go on seeing the changes. Beside it,
    /// changes that came to nothing, to be dropped with no lock held.
    fn plan(&self) -> (Plan, Vec<Logged>) {
        let mut state = self.state();
        if state.renews() || state.draft.is_dirty() || state.is_always_saved(&self.settings) {
            // Whoever waits for the lease of a renewed session could have it before its handler is done. So where requests
            // run one after another, the new token comes with the response.
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
                newer: None,
                is_revoked: false,
            };
            let snapshot = Snapshot { last: state.last, ended: state.ended, is_early };
            return (Plan::Write(work, snapshot), Vec::new());
        }
        let idle = state.take_idle_log();
        match state.live() {
            Some(live) if state.is_touch_due(&self.settings, self.settings.clock.recent()) => {
                (Plan::Touch(live.clone()), idle)
            }
            _ => (Plan::Nothing, idle),
        }
    }

    /// Tells of a write that would have brought its session back.
    fn tell_blocked(&self, id: Option<SessionId>, error: &Error) {
        if let (Some(id), ErrorKind::Gone | ErrorKind::Superseded) = (id, error.kind())
            && !std::mem::replace(&mut self.state().is_blocked, true)
        {
            self.settings.emit(EventKind::WriteBlocked { id, error });
        }
    }

    /// The last commit of a request: what could not be written is dropped. `Gone` is no error here: it is as if the
    /// write had come before the end.
    pub(crate) async fn commit_response(&self) -> Result<()> {
        // Taken out, so that it is given back also if the commit panics or is dropped.
        let turn = self.state().turn.take();
        let outcome = self.commit_last().await;
        if let Some(turn) = turn {
            Box::pin(turn.end()).await;
        }
        let Err(error) = outcome else { return Ok(()) };
        let (dropped, id, is_periodic, is_revoked) = {
            let mut state = self.state();
            let is_periodic = state.is_periodic && !state.draft.is_dirty();
            (state.discard(), state.id(), is_periodic, state.is_revoked)
        };
        drop(dropped);
        // What was blocked, and what was refused to an owner of too many, is told of already.
        if !matches!(error.kind(), ErrorKind::Gone | ErrorKind::Superseded | ErrorKind::TooManySessions) {
            self.settings.emit(EventKind::CommitFailed { id, error: &error });
        }
        // A revoked session is not gone for certain. A loads it. B ends the owner's other sessions, and for a moment A's is
        // revoked as well. A commits just then, after a conflict. If the answer were a success, A's session would live on
        // without what A has written.
        let is_gone = error.kind() == ErrorKind::Gone && !is_revoked;
        // The layer's own renewal of a session that was only read is tried again by the next request.
        if is_gone || is_periodic { Ok(()) } else { Err(error) }
    }

    async fn commit_last(&self) -> Result<()> {
        let _one = self.committing.lock().await;
        // A `save` that was still at work when the handler answered has failed meanwhile.
        let failed = self.state().held.take();
        match failed {
            Some(Held { error, .. }) if self.state().has_changes() => {
                if self.has_doomed() {
                    Box::pin(self.destroy_doomed()).await?;
                }
                Err(error)
            }
            _ => self.commit().await,
        }
    }

    /// Gives the lease back, if this request has it.
    pub(crate) async fn end_turn(&self) {
        let turn = self.state().turn.take();
        if let Some(turn) = turn {
            turn.end().await;
        }
    }

    /// Destroys now, whatever comes of the rest. `true` if a session was there.
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
                // A login in between has moved the session to a new token, which this request does not know. Its
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
            Some(error) if !destroyed => Err(error),
            _ => Ok(destroyed),
        }
    }

    /// Of a session that is absent: its id if this request's handler has ended it beside; `None` if somebody else has.
    fn ended_already(&self, doomed: &Doomed) -> Result<Option<SessionId>> {
        let Some(live) = &doomed.live else { return Ok(None) };
        if self.state().is_ended_beside(live) {
            return Ok(Some(live.id));
        }
        must_have_ended(&self.settings, live).map(|()| None)
    }

    /// Destroys what the tokens name without opening it.
    pub(crate) async fn destroy_unopened(self: &Arc<Self>, tokens: &Tokens) -> Result<bool> {
        let ids = tokens.iter().map(|token| token.identify(self.settings.cookie.bare_name()).0);
        self.state().doomed.extend(ids.map(|id| Doomed { id, live: None }));
        let shared = Arc::clone(self);
        to_its_end(async move { shared.destroy_doomed().await }).await
    }

    /// The request was dropped before it was answered. What it changed is dropped; what it destroyed is destroyed.
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
        // Given back in the background.
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

    /// Moves the session's expiry, and notes what the store has then.
    pub(crate) async fn touch_now(&self, live: Live) -> Result<()> {
        let mut usage = Usage::at(&live.stored.record, self.settings.clock.now());
        if live.is_forwarded {
            // As long as nobody has come with the new token, no use of it is recorded.
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

    /// Goes on from what is stored now. Changes that came during the commit are put on top.
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
            committed = state.log.extract_if(.., |logged| logged.number <= snapshot.last).collect();
            state.committed = snapshot.last;
            if !snapshot.is_early && state.renewal_number <= snapshot.last {
                state.renewal = Renewal::Keep;
            }
            state.go_on_from(live);
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

/// Runs a future to its end even if the caller goes away.
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

/// What a person wants to know of a session, and nothing of its values.
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
