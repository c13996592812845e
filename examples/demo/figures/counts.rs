//! The counts.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use session_layer::{Event, EventKind, Observer};

use super::recent::Recent;

/// Counts what has happened since the demo started. It is one of the layer's observers.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    loads: AtomicU64,
    saves: AtomicU64,
    merged: AtomicU64,
    blocked: AtomicU64,
    /// The durations of the store's calls that concern one session.
    calls: Mutex<Recent>,
}

/// The figures at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Numbers {
    /// The number of live sessions; `null` if the store can't count them.
    pub(crate) live: Option<u64>,
    pub(crate) loads: u64,
    pub(crate) saves: u64,
    /// Saves that conflicted with another request's and kept the changes of both.
    pub(crate) merged: u64,
    /// Saves that would have brought an ended session back.
    pub(crate) blocked: u64,
    /// The median duration of the store's recent calls, in microseconds; `null` if there were none.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl Figures {
    pub(crate) fn numbers(&self, live: Option<u64>) -> Numbers {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let [p50, p99] = self.calls().percentiles(Instant::now(), [50, 99]).map_or([None; 2], |both| both.map(Some));
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        Numbers {
            live,
            loads: read(&self.loads),
            saves: read(&self.saves),
            merged: read(&self.merged),
            blocked: read(&self.blocked),
            p50: p50.map(micros),
            p99: p99.map(micros),
        }
    }

    fn calls(&self) -> MutexGuard<'_, Recent> {
        // Durations are valid in any state that a panic leaves.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Figures {
    fn observe(&self, event: &Event<'_>) {
        let count = match event.kind {
            EventKind::Loaded { .. } => &self.loads,
            EventKind::Created { .. } | EventKind::Saved { .. } | EventKind::Renewed { .. } => &self.saves,
            EventKind::ConflictMerged { .. } => &self.merged,
            EventKind::WriteBlocked { .. } => &self.blocked,
            // Calls that concern all sessions, such as the count for the operator's page, don't belong to a visitor's
            // request.
            EventKind::Operation { id: Some(_), duration, .. } => {
                return self.calls().add(Instant::now(), duration);
            }
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
