//! Tasks that a store runs in the background.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use tokio::{runtime::Handle, task::AbortHandle};

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const STOPPED: u8 = 2;

/// The tasks of one store. The first call inside a runtime starts them. If that runtime has ended, the next call starts
/// them again.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    state: Arc<AtomicU8>,
    handles: Mutex<Vec<AbortHandle>>,
}

impl Tasks {
    /// Starts the tasks in the caller's runtime. `spawn` returns their handles, and each task keeps a clone of the
    /// guard. If the tasks are running already, this costs one relaxed load.
    pub(super) fn start(&self, spawn: impl FnOnce(&Handle, &Running) -> Vec<AbortHandle>) {
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.start_first(spawn);
        }
    }

    #[cold]
    fn start_first(&self, spawn: impl FnOnce(&Handle, &Running) -> Vec<AbortHandle>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.compare_exchange(IDLE, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        *handles = spawn(&runtime, &Running(Arc::new(State(Arc::clone(&self.state)))));
    }

    /// Stops the tasks permanently.
    pub(super) fn stop(&self) {
        self.state.store(STOPPED, Ordering::Release);
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        handles.iter().for_each(AbortHandle::abort);
    }
}

/// Marks the tasks as running. The last clone is dropped with the last task, also when its runtime ends.
#[derive(Clone)]
pub(super) struct Running(#[expect(dead_code, reason = "held for its drop")] Arc<State>);

struct State(Arc<AtomicU8>);

impl Drop for State {
    fn drop(&mut self) {
        // A task panics if the runtime has no timer. It would panic again, so it is not restarted.
        let next = if std::thread::panicking() { STOPPED } else { IDLE };
        let _ = self.0.compare_exchange(RUNNING, next, Ordering::AcqRel, Ordering::Acquire);
    }
}
