//! The figures, including those that need a call of the store.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use session_layer::Sessions;

use super::{Figures, Numbers};

/// The data of the operator's page.
#[derive(Clone)]
pub(crate) struct Board {
    figures: Arc<Figures>,
    sessions: Sessions,
    /// The kind of store.
    store: &'static str,
    metrics: PrometheusHandle,
}

impl Board {
    pub(crate) fn new(
        figures: Arc<Figures>,
        sessions: Sessions,
        store: &'static str,
        metrics: PrometheusHandle,
    ) -> Self {
        Self { figures, sessions, store, metrics }
    }

    pub(crate) fn store(&self) -> &'static str {
        self.store
    }

    /// Returns the current figures. If the store can't count its sessions, the others are still shown.
    pub(crate) async fn numbers(&self) -> Numbers {
        self.figures.numbers(self.live().await)
    }

    /// Returns the current metrics in Prometheus' text format.
    pub(crate) async fn metrics(&self) -> String {
        // Called for its observer, which records the number.
        self.live().await;
        self.metrics.render()
    }

    async fn live(&self) -> Option<u64> {
        // Memcached has no list of its keys: by default it would return 0 and log a warning each time.
        if self.store == "memcached" { None } else { self.sessions.count().await.ok() }
    }
}
