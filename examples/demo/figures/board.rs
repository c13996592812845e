//! The figures, with what the store has to be asked for.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use session_layer::Sessions;

use super::{Figures, Numbers};

/// What the operator's page looks at.
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

    /// The figures of now. A store that can't answer is no reason to show none.
    pub(crate) async fn numbers(&self) -> Numbers {
        self.figures.numbers(self.live().await)
    }

    /// The metrics of now, as Prometheus reads them.
    pub(crate) async fn metrics(&self) -> String {
        // Asked for its observer, who writes it down.
        self.live().await;
        self.metrics.render()
    }

    async fn live(&self) -> Option<u64> {
        // Memcached has no list of its keys: by default it would answer 0, and warn of it each time.
        if self.store == "memcached" { None } else { self.sessions.count().await.ok() }
    }
}
