//! A complete custom store in about 60 lines, tested by the conformance kit.
//!
//! `cargo run --example custom_store` runs the kit over it; `cargo test --example custom_store` runs each check alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use session_layer::{
    Clock, SessionId, SessionStore,
    conformance::{self, Harness},
    record::Record,
    store::{Create, StoreError, Stored, Touch, Update, Usage, Version},
};

/// Keeps sessions in a map behind one lock. A store on a database would run its queries instead of using the map.
struct MapStore {
    clock: Clock,
    map: Mutex<(u64, HashMap<SessionId, Stored>)>,
}

impl MapStore {
    fn new(clock: Clock) -> Self {
        Self { clock, map: Mutex::default() }
    }

    /// Removes expired sessions. Returns the version counter and the remaining sessions.
    fn live(&self) -> MutexGuard<'_, (u64, HashMap<SessionId, Stored>)> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let now: SystemTime = self.clock.now();
        map.1.retain(|_, stored| !stored.is_expired(now));
        map
    }
}

impl SessionStore for MapStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        Ok(self.live().1.get(id).cloned())
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let (counter, map) = &mut *self.live();
        if map.contains_key(id) {
            return Ok(Create::Exists);
        }
        *counter += 1;
        let version = Version::from_u64(*counter);
        map.insert(*id, Stored::new(Arc::clone(record), version, usage));
        Ok(Create::Created(version))
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let (counter, map) = &mut *self.live();
        let Some(stored) = map.get_mut(id) else { return Ok(Update::Gone) };
        if stored.version != *expected {
            return Ok(Update::Conflict(None));
        }
        *counter += 1;
        *stored = Stored::new(Arc::clone(record), Version::from_u64(*counter), usage);
        Ok(Update::Updated(stored.version))
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let (_, map) = &mut *self.live();
        let Some(stored) = map.get_mut(id) else { return Ok(Touch::Gone) };
        // Neither may get earlier: another request that began later may already have moved them further.
        let later =
            Usage { used_at: usage.used_at.max(stored.used_at), expires_at: usage.expires_at.max(stored.expires_at) };
        *stored = Stored::new(Arc::clone(&stored.record), stored.version, later);
        Ok(Touch::Touched)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.live().1.remove(id).is_some())
    }
}

async fn harness() -> Harness {
    let clock = conformance::manual_clock();
    Harness::new(MapStore::new(clock.clone()), clock)
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example speaks by printing")]
async fn main() {
    let report = conformance::run(harness).await;
    println!("{report}");
    report.assert_passed();
}

#[cfg(test)]
mod kit {
    session_layer::conformance::tests!(super::harness);
}
