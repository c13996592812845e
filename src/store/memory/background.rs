//! The background tasks of a memory store: the sweep, and the snapshots.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::core::Core;
use crate::{
    events::EventKind,
    store::background_tasks::{Running, Tasks},
};

/// The store's tasks and their intervals.
#[derive(Debug)]
pub(super) struct Background {
    tasks: Tasks,
    sweep_interval: Duration,
    snapshot_interval: Duration,
}

impl Background {
    pub(super) fn new(sweep_interval: Duration, snapshot_interval: Duration) -> Self {
        Self { tasks: Tasks::default(), sweep_interval, snapshot_interval }
    }

    pub(super) fn start(&self, core: &Arc<Core>) {
        self.tasks.start(|runtime, running| {
            let sweep = runtime.spawn(sweep(Arc::downgrade(core), self.sweep_interval, running.clone()));
            let mut handles = vec![sweep.abort_handle()];
            if core.snapshotter.is_some() {
                let snapshots = snapshots(Arc::downgrade(core), self.snapshot_interval, running.clone());
                handles.push(runtime.spawn(snapshots).abort_handle());
            }
            handles
        });
    }

    pub(super) fn stop(&self) {
        self.tasks.stop();
    }
}

async fn sweep(core: Weak<Core>, interval: Duration, _running: Running) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(core) = core.upgrade() else { return };
        let mut deleted = 0;
        for shard in 0..core.table.shard_count() {
            loop {
                let Ok((count, all)) = core.table.sweep_step(shard, core.now(), &core.observers) else { return };
                deleted += count;
                // Lets other tasks of this runtime run between the steps.
                tokio::task::yield_now().await;
                if all {
                    break;
                }
            }
        }
        if deleted > 0 {
            tracing::debug!(target: super::events::TARGET, deleted, "expired sessions swept");
        }
        let remaining = core.table.shared.occupancy.sessions();
        core.observers.notify(EventKind::Swept { deleted, remaining });
    }
}

async fn snapshots(core: Weak<Core>, interval: Duration, _running: Running) {
    loop {
        // The core is not kept beyond this line, since the store must be dropped with its last clone.
        let Some(journal) = core.upgrade().and_then(|core| Some(Arc::clone(&core.snapshotter.as_ref()?.journal)))
        else {
            return;
        };
        let _ = tokio::time::timeout(interval, journal.long.notified()).await;
        drop(journal);
        let Some(core) = core.upgrade() else { return };
        // The snapshotter has reported an error. The next interval tries again.
        let _ = core.snapshot().await;
    }
}
