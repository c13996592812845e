//! A store whose faults the test controls, and sessions in it.

use std::time::{Duration, UNIX_EPOCH};

use session_layer::{
    Clock, ConflictPolicy, FileStore, MemoryStore, SessionId, SessionLayer, SessionStore, Sessions,
    conformance::fault::FaultStore,
};

pub(crate) struct Site {
    pub(crate) store: FaultStore<MemoryStore>,
    pub(crate) clock: Clock,
    pub(crate) layer: SessionLayer,
    pub(crate) sessions: Sessions,
}

pub(crate) fn clock() -> Clock {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
}

pub(crate) fn layer(store: impl SessionStore, clock: &Clock) -> SessionLayer {
    SessionLayer::builder(store).clock(clock.clone()).build().unwrap()
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(ConflictPolicy::Merge)
    }

    pub(crate) fn with(policy: ConflictPolicy) -> Self {
        let clock = clock();
        let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
        let layer = SessionLayer::builder(store.clone()).clock(clock.clone()).conflict_policy(policy).build().unwrap();
        Self { sessions: layer.sessions(), store, clock, layer }
    }

    /// A session of this owner with the entry `n` = 1.
    pub(crate) async fn member(&self, owner: &str) -> SessionId {
        member(&self.layer, owner).await
    }
}

pub(crate) async fn member(layer: &SessionLayer, owner: &str) -> SessionId {
    let session = layer.new_session();
    session.login(owner).unwrap();
    session.insert("n", 1).unwrap();
    session.save().await.unwrap();
    session.id().unwrap()
}

/// A file store in its own folder.
pub(crate) async fn files(clock: &Clock) -> (tempfile::TempDir, FileStore) {
    let folder = tempfile::tempdir().unwrap();
    let builder = FileStore::builder(folder.path()).durability(session_layer::Durability::None);
    let store = builder.clock(clock.clone()).sweep_interval(None).open().await.unwrap();
    (folder, store)
}
