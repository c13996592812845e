//! The task that sweeps at intervals.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::AbortHandle};

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const STOPPED: u8 = 2;

/// The shortest time between two sweeps.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// The task that sweeps at intervals. The first call inside a runtime starts it. If that runtime has ended, the next
/// call starts it again.
#[derive(Debug)]
pub(super) struct Sweeper {
    state: Arc<AtomicU8>,
    task: Mutex<Option<AbortHandle>>,
    every: Duration,
}

impl Sweeper {
    /// With `None` there are no sweeps.
    pub(super) fn new(every: Option<Duration>) -> Self {
        let state = if every.is_some() { IDLE } else { STOPPED };
        Self {
            state: Arc::new(AtomicU8::new(state)),
            task: Mutex::default(),
            every: every.unwrap_or_default().max(LEAST_INTERVAL),
        }
    }

    /// Starts the task. If it runs already, this costs one relaxed load.
    pub(super) fn start<S, F>(&self, store: &Arc<S>, sweep: impl Fn(Arc<S>) -> F + Send + 'static)
    where
        S: Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.start_first(store, sweep);
        }
    }

    #[cold]
    fn start_first<S, F>(&self, store: &Arc<S>, sweep: impl Fn(Arc<S>) -> F + Send + 'static)
    where
        S: Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.compare_exchange(IDLE, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let running = Running(Arc::clone(&self.state));
        *task = Some(runtime.spawn(sweep_often(Arc::downgrade(store), sweep, self.every, running)).abort_handle());
    }

    pub(super) fn stop(&self) {
        self.state.store(STOPPED, Ordering::Release);
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Dropped with the task, also if its runtime ends.
struct Running(Arc<AtomicU8>);

impl Drop for Running {
    fn drop(&mut self) {
        // The task panics if the runtime has no timer. It would panic again, so it is not restarted.
        let next = if std::thread::panicking() { STOPPED } else { IDLE };
        let _ = self.0.compare_exchange(RUNNING, next, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Sweeps from time to time, as long as the store is there.
async fn sweep_often<S, F: Future<Output = ()>>(
    store: Weak<S>,
    sweep: impl Fn(Arc<S>) -> F,
    every: Duration,
    _running: Running,
) {
    loop {
        tokio::time::sleep(every).await;
        let Some(store) = store.upgrade() else { return };
        sweep(store).await;
    }
}
