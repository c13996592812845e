//! A session, and the state that its clones share.

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
    context::Context,
    live::{EndedBeside, Origin},
    load::LoadFailure,
    settings::Settings,
    state::State,
};
use crate::events::{DropReason, EventKind};

/// The session of one visitor in one request.
///
/// A handler asks for it as an argument. It is loaded by then, so everything but talking to the store is synchronous;
/// it is committed when the handler has answered, if it has changed. Clones share one state, and so does every other
/// extraction in the same request.
///
/// # After the response has begun
///
/// A stream or a socket can keep a clone. What it changes then is written by [`save`](Self::save); what nobody saves is
/// dropped, with an event. A cookie can't be sent any more, so what would need one is
/// [`ResponseStarted`](crate::ErrorKind::ResponseStarted).
#[derive(Clone)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
}

impl Session {
    /// The session of what was loaded.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// The state that all clones of a session share.
pub(crate) struct Shared {
    pub(crate) context: Arc<Context>,
    pub(super) loaded: OnceCell<Result<(), LoadFailure>>,
    state: Mutex<State>,
    /// Allows one commit at a time. Held across awaits, unlike `state`.
    pub(super) committing: AsyncMutex<()>,
    /// Requests of this session run one after another, so any conflict at a commit is an error.
    pub(super) exclusive: bool,
    /// The request's cookies have been read.
    was_read: AtomicBool,
}

impl Shared {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            exclusive: context.settings.exclusive.is_some(),
            was_read: AtomicBool::new(false),
            context,
            loaded: OnceCell::new(),
            state: Mutex::default(),
            committing: AsyncMutex::const_new(()),
        })
    }

    /// A session outside of a request.
    pub(crate) fn detached(context: Arc<Context>, origin: Origin) -> Arc<Self> {
        Arc::new(Self {
            context,
            loaded: OnceCell::new_with(Some(Ok(()))),
            state: Mutex::new(State::new(origin)),
            committing: AsyncMutex::const_new(()),
            exclusive: false,
            was_read: AtomicBool::new(true),
        })
    }

    /// The settings of the layer.
    pub(crate) fn settings(&self) -> &Settings {
        &self.context.settings
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
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.response_started && state.is_unsaved() {
            self.context.emit(EventKind::ChangesDropped { id: state.id(), reason: DropReason::Unsaved });
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
