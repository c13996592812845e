//! A session and the state that its clones share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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

/// The session of one visitor in one request.
///
/// A handler takes it as an argument. It is already loaded then, so only calls that reach the store are asynchronous.
/// If it has changed, it is committed after the handler has answered. All clones and all other extractions in the same
/// request share one state.
///
/// # If a handler does not compile
///
/// axum only reports that the function is not a `Handler`. Put `#[axum::debug_handler]` (axum's feature `macros`) on
/// the handler, and the compiler names the argument. With this crate's types, the usual reasons are:
///
/// - An argument that consumes the body (`String`, `Form`, `Json`) is not the last one.
/// - The argument is a reference: handlers take `Session`, not `&Session`.
/// - The crate's feature `axum` is off, or a version of axum other than 0.8 is in use, so that `Session` implements a
///   different `FromRequestParts`. `cargo tree -d -i axum-core` shows this.
/// - The future is not `Send`, for example because a lock guard of the application is held across an `await`.
///
/// ```compile_fail,E0277
/// # use axum::{Router, routing::post};
/// # use session_layer::Session;
/// async fn note(text: String, session: Session) {} // the body must come last
/// let app: Router = Router::new().route("/", post(note)); // error: no `Handler`
/// ```
///
/// ```
/// # use axum::{Router, routing::post};
/// # use session_layer::Session;
/// async fn note(session: Session, text: String) {}
/// let app: Router = Router::new().route("/", post(note));
/// ```
///
/// # After the response has begun
///
/// A stream or a socket can keep a clone. Changes that it makes then must be written by [`save`](Self::save). Unsaved
/// changes are dropped, and [`ChangesDropped`](crate::EventKind::ChangesDropped) is reported. A cookie can't be sent
/// any more, so a call that needs one fails with [`ResponseStarted`](crate::ErrorKind::ResponseStarted).
#[derive(Clone)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
}

impl Session {
    /// Creates a handle to this state.
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

    /// Creates the state of a session outside a request.
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

    /// Returns the settings of the layer.
    pub(crate) fn settings(&self) -> &Settings {
        &self.context.settings
    }

    /// Whether loading the session waits for its lease.
    pub(crate) fn takes_turns(&self) -> bool {
        self.exclusive && !self.was_asked_for()
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
