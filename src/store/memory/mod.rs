//! Sessions in this process's memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::Clock,
    id::SessionId,
    record::Record,
    store::{Create, SessionStore, StoreError, Stored, Touch, Update, Usage, Version},
};

/// Sessions in this process's memory. Clones share one store.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    clock: Clock,
    map: Mutex<Map>,
}

#[derive(Default)]
struct Map {
    next_version: u64,
    sessions: HashMap<SessionId, Stored>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that tells the time by this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self { inner: Arc::new(Inner { clock, map: Mutex::default() }) }
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        let mut map = self.inner.map.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.now();
        map.sessions.retain(|_, stored| !stored.is_expired(now));
        map
    }
}

impl Map {
    fn put(&mut self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Version {
        self.next_version += 1;
        let version = Version::from_u64(self.next_version);
        self.sessions.insert(*id, Stored::new(Arc::clone(record), version, usage));
        version
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.map().sessions.len()).finish_non_exhaustive()
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        Ok(self.map().sessions.get(id).cloned())
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let mut map = self.map();
        if map.sessions.contains_key(id) {
            return Ok(Create::Exists);
        }
        Ok(Create::Created(map.put(id, record, usage)))
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let mut map = self.map();
        match map.sessions.get(id) {
            None => Ok(Update::Gone),
            Some(stored) if stored.version != *expected => Ok(Update::Conflict),
            Some(_) => Ok(Update::Updated(map.put(id, record, usage))),
        }
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let mut map = self.map();
        let Some(stored) = map.sessions.get_mut(id) else { return Ok(Touch::Gone) };
        *stored = Stored::new(Arc::clone(&stored.record), stored.version, usage);
        Ok(Touch::Touched)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.map().sessions.remove(id).is_some())
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "memory"
    }
}
