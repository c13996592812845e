//! The session of one request, shared by all its handles.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::{
    context::Context,
    live::{EndedBeside, Origin},
    load::LoadFailure,
    settings::Settings,
    state::State,
};
use crate::events::{DropReason, EventKind};

/// The session of one request, shared by all [`Session`](super::session::Session) handles that the request's extractions
/// and clones make. A session that is opened outside a request has one, too ([`detached`](Self::detached)). The
/// [`Context`] is what all requests of a layer share.
pub(crate) struct RequestSession {
    pub(crate) context: Arc<Context>,
    pub(super) loaded: OnceCell<Result<(), LoadFailure>>,
    state: Mutex<State>,
    /// Allows one commit at a time. Held across awaits, unlike `state`.
    pub(super) committing: AsyncMutex<()>,
    /// Requests of this session run one after another, so any conflict at a commit is an error.
    pub(super) is_exclusive: bool,
    /// The request's cookies have been read.
    was_read: AtomicBool,
}

impl RequestSession {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            is_exclusive: context.settings.exclusive.is_some(),
            was_read: AtomicBool::new(false),
            context,
            loaded: OnceCell::new(),
            state: Mutex::default(),
            committing: AsyncMutex::const_new(()),
        })
    }

    /// Creates the state of a session outside a request.
    pub(crate) fn detached(context: Arc<Context>, origin: Origin) -> Arc<Self> {
        Arc::new(Self {
            context,
            loaded: OnceCell::new_with(Some(Ok(()))),
            state: Mutex::new(State::new(origin)),
            committing: AsyncMutex::const_new(()),
            is_exclusive: false,
            was_read: AtomicBool::new(true),
        })
    }

    /// Returns the settings of the layer.
    pub(crate) fn settings(&self) -> &Settings {
        &self.context.settings
    }

    /// Whether loading the session waits for its lease.
    pub(crate) fn waits_for_lease(&self) -> bool {
        self.is_exclusive && !self.was_asked_for()
    }

    /// Whether loading the session was attempted, successfully or not.
    pub(crate) fn was_asked_for(&self) -> bool {
        self.loaded.initialized()
    }

    /// Returns `true` at the first call only, so that problems with the request's cookies are reported once.
    pub(crate) fn is_first_reading(&self) -> bool {
        // Relaxed is enough: no other data depends on the flag, and it does no harm if two concurrent callers both
        // report.
        let first = !self.was_read.load(Ordering::Relaxed);
        if first {
            self.was_read.store(true, Ordering::Relaxed);
        }
        first
    }

    /// Notes that the response depends on the request's cookies, whether or not a session is loaded.
    pub(crate) fn consult(&self) {
        self.state().consulted = true;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // None of the application's code runs under this lock, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the request's handler has ended sessions by owner or id, not through this session.
    pub(crate) fn has_ended_beside(&self, ended: EndedBeside) {
        self.state().ending.beside.push(ended);
    }
}

impl Drop for RequestSession {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.response_started() && state.is_unsaved() {
            self.context.emit(EventKind::ChangesDropped { id: state.id(), reason: DropReason::Unsaved });
        }
    }
}
