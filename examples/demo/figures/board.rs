//! The figures, with what the store has to be asked for.

use std::sync::Arc;

use session_layer::Sessions;

use super::{Figures, Numbers};

/// What the operator's page looks at.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    figures: Arc<Figures>,
    sessions: Sessions,
    /// The kind of store.
    store: &'static str,
}

impl Board {
    pub(crate) fn new(figures: Arc<Figures>, sessions: Sessions, store: &'static str) -> Self {
        Self { figures, sessions, store }
    }

    pub(crate) fn store(&self) -> &'static str {
        self.store
    }

    /// The figures of now. A store that can't answer is no reason to show none.
    pub(crate) async fn numbers(&self) -> Numbers {
        // Memcached has no list of its keys: by default it would answer 0, and warn of it each time.
        let live = if self.store == "memcached" { None } else { self.sessions.count().await.ok() };
        self.figures.numbers(live)
    }
}
