//! The store's tasks: the sweep, and the snapshot at its interval.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::AbortHandle};

use super::core::Core;
use crate::events::EventKind;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const STOPPED: u8 = 2;

/// Started by the first call inside a runtime, and again by the next one if that runtime has ended.
#[derive(Debug)]
pub(super) struct Tasks {
    state: Arc<AtomicU8>,
    handles: Mutex<Vec<AbortHandle>>,
    sweep_interval: Duration,
    snapshot_interval: Duration,
}

impl Tasks {
    pub(super) fn new(sweep_interval: Duration, snapshot_interval: Duration) -> Self {
        let state = Arc::new(AtomicU8::new(IDLE));
        Self { state, handles: Mutex::default(), sweep_interval, snapshot_interval }
    }

    /// One relaxed load where they run already.
    pub(super) fn start(&self, core: &Arc<Core>) {
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.start_first(core);
        }
    }

    #[cold]
    fn start_first(&self, core: &Arc<Core>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.compare_exchange(IDLE, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let running = Arc::new(Running(Arc::clone(&self.state)));
        let sweep = runtime.spawn(sweep(Arc::downgrade(core), self.sweep_interval, Arc::clone(&running)));
        *handles = vec![sweep.abort_handle()];
        if core.keeper.is_some() {
            let snapshots = runtime.spawn(snapshots(Arc::downgrade(core), self.snapshot_interval, running));
            handles.push(snapshots.abort_handle());
        }
    }

    pub(super) fn stop(&self) {
        self.state.store(STOPPED, Ordering::Release);
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        handles.iter().for_each(AbortHandle::abort);
    }
}

/// Dropped with the last task, also when its runtime ends.
struct Running(Arc<AtomicU8>);

impl Drop for Running {
    fn drop(&mut self) {
        // A task panics where the runtime has no timer: it would again.
        let next = if std::thread::panicking() { STOPPED } else { IDLE };
        let _ = self.0.compare_exchange(RUNNING, next, Ordering::AcqRel, Ordering::Acquire);
    }
}

async fn sweep(core: Weak<Core>, interval: Duration, _running: Arc<Running>) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(core) = core.upgrade() else { return };
        let mut deleted = 0;
        for shard in 0..core.table.shard_count() {
            loop {
                let Ok((count, all)) = core.table.sweep_step(shard, core.now(), &core.observers) else { return };
                deleted += count;
                // Others of this runtime have their turn between the steps.
                tokio::task::yield_now().await;
                if all {
                    break;
                }
            }
        }
        if deleted > 0 {
            tracing::debug!(target: super::TARGET, deleted, "expired sessions swept");
        }
        let remaining = core.table.shared.ledger.sessions();
        core.observers.tell(EventKind::Swept { deleted, remaining });
    }
}

async fn snapshots(core: Weak<Core>, interval: Duration, _running: Arc<Running>) {
    loop {
        // Not kept beyond this line: the store must be dropped when its last clone is.
        let Some(journal) = core.upgrade().and_then(|core| Some(Arc::clone(&core.keeper.as_ref()?.journal))) else {
            return;
        };
        let _ = tokio::time::timeout(interval, journal.long.notified()).await;
        drop(journal);
        let Some(core) = core.upgrade() else { return };
        // The keeper has told of an error; the next interval tries again.
        let _ = core.snapshot().await;
    }
}
