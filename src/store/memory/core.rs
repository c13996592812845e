//! State that the clones of a store share with its tasks.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::sync::{oneshot, watch};

use super::{
    events::NAME,
    journal::Ticket,
    snapshotter::{Snapshotter, Written},
    table::Table,
};
use crate::{
    clock::Clock,
    events::Observers,
    store::{StoreError, StoreErrorKind},
};

/// The table, the clock, and the snapshotter, if there are snapshots.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) table: Table,
    pub(super) clock: Clock,
    pub(super) snapshotter: Option<Snapshotter>,
    /// Observers of evictions, expiries and sweeps.
    pub(super) observers: Observers,
    /// The result of `close`, once it has ended.
    end: watch::Sender<Option<Result<(), StoreError>>>,
}

impl Core {
    pub(super) fn new(table: Table, clock: Clock, snapshotter: Option<Snapshotter>, observers: Observers) -> Self {
        let observers = observers.of(NAME);
        Self { table, clock, snapshotter, observers, end: watch::Sender::new(None) }
    }

    /// The time in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.recent_millis()
    }

    /// Waits until the journal has the line.
    pub(super) async fn written(&self, ticket: Option<Ticket>) -> Result<(), StoreError> {
        let (Some(ticket), Some(snapshotter)) = (ticket, &self.snapshotter) else { return Ok(()) };
        let written = snapshotter.journal.written(ticket).await;
        written.map_err(|error| StoreError::new(StoreErrorKind::OutcomeUnknown).because(error))
    }

    /// Writes a snapshot on its own thread, which continues if this future is dropped.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<Option<Written>, StoreError> {
        let Some(snapshotter) = &self.snapshotter else { return Ok(None) };
        let (tell, told) = oneshot::channel();
        let core = Arc::clone(self);
        spawn("session-snapshot", move || {
            let written =
                core.snapshotter.as_ref().map(|snapshotter| snapshotter.snapshot(&core.table, core.now())).transpose();
            let _ = tell.send(written);
        })
        .map_err(|error| unavailable(snapshotter.failed(error)))?;
        match told.await {
            Ok(written) => written.map_err(unavailable),
            Err(_) => Err(unavailable(snapshotter.failed(std::io::Error::other("the snapshot thread panicked")))),
        }
    }

    /// Refuses all calls, writes the last snapshot and releases the path. Waits for at most `at_most`. A second call
    /// waits for the first and returns its result.
    pub(super) async fn close(self: &Arc<Self>, at_most: Duration) -> Result<(), StoreError> {
        let mut end = self.end.subscribe();
        if self.table.close() {
            let core = Arc::clone(self);
            let closing = spawn("session-close", move || {
                // The result reaches all waiting callers through `end`.
                let _ = core.finish(at_most);
            });
            if let Err(error) = closing {
                self.end.send_replace(Some(Err(StoreError::new(StoreErrorKind::Unavailable).because(error))));
            }
        }
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(Ok(())),
            // `self` is the sender, so it still exists.
            Err(_) => Ok(()),
        }
    }

    /// The blocking part of `close`, after the table is closed.
    pub(super) fn finish(self: &Arc<Self>, at_most: Duration) -> Result<(), StoreError> {
        let result = match &self.snapshotter {
            None => Ok(()),
            Some(snapshotter) => {
                let (tell, told) = mpsc::channel();
                let core = Arc::clone(self);
                let spawned = spawn("session-snapshot", move || {
                    let written = core.snapshotter.as_ref().map(|snapshotter| {
                        let written = snapshotter.snapshot(&core.table, core.now());
                        snapshotter.release();
                        written
                    });
                    let _ = tell.send(written.transpose());
                });
                let written = spawned.map_err(|error| snapshotter.failed(error)).and_then(|()| {
                    told.recv_timeout(at_most).unwrap_or_else(|_| {
                        let late = format!("not done after {at_most:?}; it continues in the background");
                        Err(snapshotter.failed(std::io::Error::new(std::io::ErrorKind::TimedOut, late)))
                    })
                });
                written.map(drop).map_err(unavailable)
            }
        };
        self.end.send_replace(Some(result.clone()));
        result
    }
}

fn unavailable(error: super::snapshotter::SnapshotError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable).during("snapshot").because(error)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}
