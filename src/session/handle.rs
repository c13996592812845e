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
    changes::{Change, Draft},
    commit::{Work, Written},
    end::{End, end},
    exclusive::load_in_turn,
    limit::write,
    load::{LoadFailure, Loaded, load},
    settings::{ConflictPolicy, Settings},
    state::{Answer, Live, Origin, Renewal, State},
};
use crate::{
    cookie::Tokens,
    error::{Error, ErrorKind, Result},
    events::{EventKind, NoSessionReason, span},
    id::SessionId,
    lifetime::CookieLifetime,
    record::Record,
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

enum Plan {
    Nothing,
    Touch(Live),
    Write(Work, Since),
}

/// How often the session had been destroyed, and its changes taken back, when a commit began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Since {
    ended: u64,
    discarded: u64,
}

/// The log while a commit has it. Unless it is taken out, it goes back: also after a panic of a closure that runs again.
struct Taken<'a> {
    shared: &'a Shared,
    work: Option<Work>,
    since: Since,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.shared.put_back(work, self.since);
        }
    }
}

/// Changes that came during a commit, on their way onto what it has stored. If a closure among them fails there, or
/// panics, they must not stay in a draft over a record that they were not made on: its next commit would undo what was
/// merged.
struct Moved<'a> {
    shared: &'a Shared,
    /// What they were made on.
    previous: Origin,
    id: SessionId,
    record: Arc<Record>,
    /// Empty once they are there.
    log: Vec<Change>,
    since: Since,
}

impl Drop for Moved<'_> {
    fn drop(&mut self) {
        if self.log.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        if Since::of(&state) != self.since {
            return;
        }
        self.log.append(&mut state.log);
        state.revision += 1;
        if self.previous.id() == Some(self.id) {
            // Back to the version that they were made on: the next commit meets a conflict, runs the closure again and
            // fails aloud.
            state.origin = std::mem::take(&mut self.previous);
            state.log = std::mem::take(&mut self.log);
            return;
        }
        // A new id has no version before.
        state.draft = Draft::new(Some(Arc::clone(&self.record)));
        state.renewal = Renewal::Keep;
        drop(state);
        self.shared.settings.emit(EventKind::ChangesDropped { id: Some(self.id) });
    }
}

impl Since {
    fn of(state: &State) -> Self {
        Self { ended: state.ended, discarded: state.discarded }
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
            let (Loaded { origin, damaged }, turn) = match &self.settings.exclusive {
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
            state.damaged = damaged;
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

    /// The handler has answered, or was dropped: from now on no cookie can be set, but by the commit that follows.
    pub(crate) fn finish(&self, server_error: bool) -> Finish {
        let dropped;
        let finish = {
            let mut state = self.state();
            state.response_started = true;
            if !self.was_asked_for() && state.turn.is_none() && state.is_untouched() {
                return Finish::Untouched;
            }
            let gives_up = server_error && !self.settings.save_on_server_error;
            dropped = if gives_up { state.discard() } else { state.take_idle_log() };
            let settings = &*self.settings;
            let must_write = state.renews()
                || state.draft.is_dirty()
                // A `save` in the background is about to have a cookie for this very response.
                || state.is_renewing
                || (!server_error
                    && (state.is_always_saved(settings) || state.is_touch_due(settings, settings.clock.recent())));
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
        drop(dropped);
        finish
    }

    /// What the response is to say. Each answer is handed out once.
    pub(crate) fn take_answer(&self) -> Answer {
        std::mem::take(&mut self.state().answer)
    }

    /// Destroys what is doomed and writes what is changed.
    ///
    /// If this future is dropped while the store is at work, they may have arrived: whoever drops it drops the changes,
    /// too.
    pub(crate) async fn commit(&self) -> Result<()> {
        if !span::are_wanted() {
            return self.commit_now().await;
        }
        let span = span::commit(self.state().id());
        self.commit_now().instrument(span).await
    }

    async fn commit_now(&self) -> Result<()> {
        // Boxed piece by piece, so that no block is larger than 1 KiB: those are slow to allocate.
        let _one = self.committing.lock().await;
        if self.has_doomed() {
            Box::pin(self.destroy_doomed()).await?;
        }
        let (plan, idle) = self.plan();
        drop(idle);
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Touch(live) => {
                Box::pin(self.touch(live)).await;
                Ok(())
            }
            Plan::Write(work, since) => {
                let mut taken = Taken { shared: self, work: Some(work), since };
                let Some(work) = &mut taken.work else { return Ok(()) };
                let id = work.origin.id();
                let written =
                    Box::pin(write(&self.settings, work)).await.inspect_err(|error| self.tell_blocked(id, error))?;
                drop(taken.work.take());
                let moved = self.rebase(written, since.ended);
                // A `destroy` that came during the commit means what the commit has made, too.
                if self.has_doomed() {
                    Box::pin(self.destroy_doomed()).await?;
                }
                moved
            }
        }
    }

    fn has_doomed(&self) -> bool {
        !self.state().doomed.is_empty()
    }

    /// What a commit is to do. The log is taken; the draft stays, so that reads go on seeing the changes. Beside it,
    /// changes that came to nothing, to be dropped with no lock held.
    fn plan(&self) -> (Plan, Vec<Change>) {
        let mut state = self.state();
        if state.renews() || state.draft.is_dirty() || state.is_always_saved(&self.settings) {
            state.is_renewing = state.renews() || state.live().is_none();
            let work = Work {
                origin: state.origin.clone(),
                draft: state.draft.clone(),
                log: std::mem::take(&mut state.log),
                renewal: std::mem::replace(&mut state.renewal, Renewal::Keep),
                rejects: self.exclusive || self.settings.conflicts == ConflictPolicy::Reject,
            };
            return (Plan::Write(work, Since::of(&state)), Vec::new());
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
        let outcome = self.commit().await;
        if let Some(turn) = turn {
            Box::pin(turn.end()).await;
        }
        let Err(error) = outcome else { return Ok(()) };
        let (dropped, id) = {
            let mut state = self.state();
            (state.discard(), state.id())
        };
        drop(dropped);
        // What was blocked, and what was refused to an owner of too many, is told of already.
        if !matches!(error.kind(), ErrorKind::Gone | ErrorKind::Superseded | ErrorKind::TooManySessions) {
            self.settings.emit(EventKind::CommitFailed { id, error: &error });
        }
        if error.kind() == ErrorKind::Gone { Ok(()) } else { Err(error) }
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
        let (mut destroyed, mut superseded) = (false, None);
        loop {
            let Some(id) = self.state().doomed.last().copied() else { break };
            let was_there = match end(&self.settings, &id).await? {
                End::Done => true,
                End::Absent => false,
                // A login in between has moved the session to a new token, which this request does not know. Its
                // tombstone stays, and so does the cookie that the login has set.
                End::Superseded => {
                    let error = Error::session(ErrorKind::Superseded, id);
                    self.settings.emit(EventKind::WriteBlocked { id, error: &error });
                    superseded = Some(error);
                    false
                }
            };
            let mut state = self.state();
            state.doomed.retain(|doomed| *doomed != id);
            if was_there {
                state.answer.destroyed = true;
                drop(state);
                destroyed = true;
                self.settings.emit(EventKind::Destroyed { id });
            }
        }
        match superseded {
            Some(error) if !destroyed => Err(error),
            _ => Ok(destroyed),
        }
    }

    /// Destroys what the tokens name without opening it.
    pub(crate) async fn destroy_unopened(self: &Arc<Self>, tokens: &Tokens) -> Result<bool> {
        let ids = tokens.iter().map(|token| token.identify(self.settings.cookie.bare_name()).0);
        self.state().doomed.extend(ids);
        let shared = Arc::clone(self);
        to_its_end(async move { shared.destroy_doomed().await }).await
    }

    /// The request was dropped before it was answered. What it changed is dropped; what it destroyed is destroyed.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let (dropped, doomed, turn) = {
            let mut state = self.state();
            state.response_started = true;
            (state.discard(), !state.doomed.is_empty(), state.turn.take())
        };
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

    /// Moves the expiry of a session that was only read. Whatever comes of it, the answer stays as it is.
    async fn touch(&self, live: Live) {
        let usage = Usage::at(&live.stored.record, self.settings.clock.now());
        match self.settings.store.touch(&live.id, usage).await {
            Ok(Touch::Touched) => {
                self.settings.emit(EventKind::Touched { id: live.id, record: &live.stored.record });
            }
            Ok(Touch::Gone) => self.settings.no_session(NoSessionReason::Unknown, &live.id, None),
            Err(error) => {
                let error = error.during("touch").on(&live.id);
                self.settings.emit(EventKind::TouchFailed { id: live.id, error: &error });
            }
        }
    }

    /// Goes on from what is stored now. Changes that came during the commit are put on top.
    ///
    /// # Errors
    ///
    /// Those of a closure that fails on what is stored now, if there is no older state to go back to.
    fn rebase(&self, written: Option<Written>, ended: u64) -> Result<()> {
        let Some(Written { live, token }) = written else {
            self.state().is_renewing = false;
            return Ok(());
        };
        let record = Arc::clone(&live.stored.record);
        let cookie = token.map(|token| {
            let left = record.absolute_limit().duration_since(self.settings.clock.now()).unwrap_or_default();
            (token, (record.lifetime().cookie() == CookieLifetime::Persistent).then_some(left))
        });
        let id = live.id;
        let (mut moved, mut revision) = {
            let mut state = self.state();
            state.is_renewing = false;
            if state.ended != ended {
                state.doomed.push(id);
                return Ok(());
            }
            let previous = std::mem::replace(&mut state.origin, Origin::Live(live));
            if cookie.is_some() {
                state.answer.cookie = cookie;
            }
            let (log, since) = (std::mem::take(&mut state.log), Since::of(&state));
            (Moved { shared: self, previous, id, record, log, since }, state.revision)
        };
        loop {
            let draft = match Draft::replayed(Some(Arc::clone(&moved.record)), &moved.log) {
                Ok(draft) => draft,
                // What was to be written is; what came meanwhile goes back, and fails when it is written itself.
                Err(_) if moved.previous.id() == Some(id) => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut state = self.state();
            if state.revision == revision && Since::of(&state) == moved.since {
                state.log = std::mem::take(&mut moved.log);
                state.revision += 1;
                state.draft = draft;
                return Ok(());
            }
            if state.ended != ended {
                return Ok(());
            }
            // What was taken back meanwhile is not replayed; it is dropped with no lock held.
            let since = Since::of(&state);
            let stale = if since == moved.since { Vec::new() } else { std::mem::take(&mut moved.log) };
            moved.log.append(&mut state.log);
            (revision, moved.since) = (state.revision, since);
            drop(state);
            drop(stale);
        }
    }

    /// A failed save keeps the changes, so that it can be tried again.
    fn put_back(&self, mut work: Work, since: Since) {
        let mut state = self.state();
        state.is_renewing = false;
        if Since::of(&state) != since {
            return;
        }
        work.log.append(&mut state.log);
        state.log = work.log;
        state.renewal = state.renewal.max(work.renewal);
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
            self.settings.emit(EventKind::ChangesDropped { id: state.id() });
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &*self.state()).finish_non_exhaustive()
    }
}
