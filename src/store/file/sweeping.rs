//! Sweeping all shards: now, and from time to time.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::AbortHandle};

use super::{
    disk::Disk,
    locks::{Locks, Shards},
    store::{FileStore, Inner},
    walk::{self, Sweep},
};
use crate::{
    events::EventKind,
    id::SessionId,
    store::{StoreError, Swept},
};

/// How many more times all shards are cleared, unless one of these passes finds nothing. One is enough for a session
/// that is renamed once while everything is cleared.
const FURTHER_CLEARING_PASSES: usize = 8;

impl FileStore {
    /// Sweeps every shard, in many blocking calls, so that requests get their turn in between.
    ///
    /// A shard whose lock another process keeps is an error in the end, and the others are swept all the same.
    pub(super) async fn sweep_all(&self, operation: &'static str, sweep: Sweep) -> Result<Swept, StoreError> {
        let mut swept = self.sweep_once(operation, sweep).await?;
        if sweep == Sweep::All {
            // A rename can move a session from a shard that is still to be cleared into one that is already done: the
            // next pass finds it.
            for _ in 0..FURTHER_CLEARING_PASSES {
                let missed = self.sweep_once(operation, sweep).await?.deleted;
                swept.deleted += missed;
                if missed == 0 {
                    break;
                }
            }
        }
        tracing::debug!(target: super::TARGET, operation, deleted = swept.deleted, remaining = swept.remaining, "swept");
        self.inner.observers.tell(EventKind::Swept { deleted: swept.deleted, remaining: swept.remaining });
        Ok(swept)
    }

    async fn sweep_once(&self, operation: &'static str, sweep: Sweep) -> Result<Swept, StoreError> {
        let (mut swept, mut next, mut failed) = (Swept::default(), Some(0), None);
        while let Some(first) = next {
            let looked = self.read(operation, None, move |disk| disk.look_on(first, sweep)).await?;
            next = looked.next;
            for (shard, found) in looked.shards {
                swept.remaining += found.remaining;
                if found.is_empty() {
                    continue;
                }
                match self.sweep_shard(operation, shard, found.ids, sweep).await {
                    Ok(some) => {
                        swept.deleted += some.deleted;
                        swept.remaining += some.remaining;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    /// Removes what a look has found in a shard, some at a time, so that other writers get their turn in between.
    async fn sweep_shard(
        &self,
        operation: &'static str,
        shard: u8,
        mut ids: Vec<SessionId>,
        sweep: Sweep,
    ) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        loop {
            let rest = ids.split_off(ids.len().min(walk::REMOVED_AT_ONCE));
            let work = move |disk: &Disk, locks: &Locks| disk.sweep_some(locks, shard, &ids, sweep);
            let (some, expired) = self.write_shards(operation, None, Shards::one(shard), work).await?;
            expired.into_iter().for_each(|id| self.inner.observers.tell(EventKind::Expired { id, record: None }));
            swept.deleted += some.deleted;
            swept.remaining += some.remaining;
            if rest.is_empty() {
                break;
            }
            ids = rest;
        }
        self.inner.pool.release(shard);
        Ok(swept)
    }
}

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
    pub(super) fn start(&self, store: &Arc<Inner>) {
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.start_first(store);
        }
    }

    #[cold]
    fn start_first(&self, store: &Arc<Inner>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.compare_exchange(IDLE, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let running = Running(Arc::clone(&self.state));
        *task = Some(runtime.spawn(sweep_often(Arc::downgrade(store), self.every, running)).abort_handle());
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
async fn sweep_often(store: Weak<Inner>, every: Duration, _running: Running) {
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = store.upgrade() else { return };
        // An error has its event already. The next sweep tries again.
        let _ = FileStore { inner }.sweep_all("sweep", Sweep::Expired).await;
    }
}
