//! A minimal store that can be stopped inside a call.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::{
    Clock,
    id::SessionId,
    record::Record,
    store::{
        Clearing, Create, Leases, Listing, SessionStore, StoreError, StoreErrorKind, Stored, Touch, Update, Usage,
        Version,
        cached::sync::{Mutex, lock},
    },
};

#[derive(Clone)]
pub(super) struct TestStore(Arc<Inner>);

pub(super) struct Inner {
    clock: Clock,
    state: Mutex<State>,
    gate: Mutex<Option<Gate>>,
    loads: AtomicUsize,
    fails: AtomicBool,
    in_memory: bool,
}

#[derive(Default)]
struct State {
    last_version: u64,
    sessions: HashMap<SessionId, Stored>,
}

/// Where a call stops: after it has taken effect or read, and before it answers.
struct Gate {
    operation: &'static str,
    reached: oneshot::Sender<()>,
    opened: oneshot::Receiver<()>,
}

/// The other side of a gate.
pub(super) struct Gatekeeper {
    reached: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

impl Gatekeeper {
    pub(super) async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    pub(super) fn open(self) {
        let _ = self.open.send(());
    }
}

impl TestStore {
    pub(super) fn new(clock: Clock) -> Self {
        Self::build(clock, false)
    }

    pub(super) fn build(clock: Clock, in_memory: bool) -> Self {
        Self(Arc::new(Inner {
            clock,
            state: Mutex::default(),
            gate: Mutex::default(),
            loads: AtomicUsize::new(0),
            fails: false.into(),
            in_memory,
        }))
    }

    /// The next call of this operation stops before it answers.
    pub(super) fn stop_next(&self, operation: &'static str) -> Gatekeeper {
        let ((reached, was_reached), (open, opened)) = (oneshot::channel(), oneshot::channel());
        *lock(&self.0.gate) = Some(Gate { operation, reached, opened });
        Gatekeeper { reached: was_reached, open }
    }

    pub(super) fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }

    pub(super) fn fail(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    async fn call<T>(&self, operation: &'static str, call: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        pause().await;
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable).during(operation));
        }
        let answer = {
            let mut state = lock(&self.0.state);
            let now = self.0.clock.now();
            state.sessions.retain(|_, stored| !stored.is_expired(now));
            call(&mut state)
        };
        let gate = lock(&self.0.gate).take_if(|gate| gate.operation == operation);
        if let Some(gate) = gate {
            let _ = gate.reached.send(());
            let _ = gate.opened.await;
        }
        pause().await;
        Ok(answer)
    }
}

#[cfg(session_layer_shuttle)]
async fn pause() {
    shuttle::future::yield_now().await;
}

#[cfg(not(session_layer_shuttle))]
async fn pause() {
    tokio::task::yield_now().await;
}

impl State {
    fn put(&mut self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Version {
        self.last_version += 1;
        let version = Version::from_u64(self.last_version);
        self.sessions.insert(*id, Stored::new(Arc::clone(record), version, usage));
        version
    }
}

impl SessionStore for TestStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        self.call("load", |state| state.sessions.get(id).cloned()).await
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        self.call("create", |state| match state.sessions.contains_key(id) {
            true => Create::Exists,
            false => Create::Created(state.put(id, record, usage)),
        })
        .await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        self.call("update", |state| match state.sessions.get(id) {
            None => Update::Gone,
            Some(stored) if stored.version != *expected => Update::Conflict(None),
            Some(_) => Update::Updated(state.put(id, record, usage)),
        })
        .await
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.call("touch", |state| match state.sessions.get_mut(id) {
            None => Touch::Gone,
            Some(stored) => {
                let later = Usage {
                    used_at: usage.used_at.max(stored.used_at),
                    expires_at: usage.expires_at.max(stored.expires_at),
                };
                *stored = Stored::new(Arc::clone(&stored.record), stored.version, later);
                Touch::Touched
            }
        })
        .await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.call("remove", |state| state.sessions.remove(id).is_some()).await
    }

    fn in_memory(&self) -> bool {
        self.0.in_memory
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl Listing for TestStore {
    async fn delete_idle(&self, _: crate::store::Idle) -> Result<crate::store::Swept, StoreError> {
        self.clear().await.map(|deleted| crate::store::Swept { deleted, remaining: 0 })
    }

    async fn ids(&self, _: crate::store::Cursor, _: usize) -> Result<crate::store::Page, StoreError> {
        Err(StoreError::unsupported("ids"))
    }

    async fn sweep(&self) -> Result<crate::store::Swept, StoreError> {
        Err(StoreError::unsupported("sweep"))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Err(StoreError::unsupported("count"))
    }
}

#[async_trait::async_trait]
impl Clearing for TestStore {
    async fn clear(&self) -> Result<u64, StoreError> {
        self.call("clear", |state| u64::try_from(std::mem::take(&mut state.sessions).len()).unwrap()).await
    }
}

#[async_trait::async_trait]
impl Leases for TestStore {
    async fn acquire(
        &self,
        id: &SessionId,
        _: crate::store::Holder,
        time: std::time::Duration,
    ) -> Result<crate::store::Acquire, StoreError> {
        let until = self.0.clock.now() + time;
        self.call("acquire", |state| match state.sessions.get(id).cloned() {
            None => crate::store::Acquire::Absent,
            Some(stored) => {
                state.put(id, &stored.record, stored.usage());
                crate::store::Acquire::acquired(until)
            }
        })
        .await
    }

    async fn release(&self, _: &SessionId, _: crate::store::Holder) -> Result<bool, StoreError> {
        Err(StoreError::unsupported("release"))
    }
}
