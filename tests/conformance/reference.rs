//! A simple store that implements the whole contract. The broken stores are derived from it.
//!
//! Every method waits once and then does its work under one lock, so it is easy to see that the store is correct.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use session_layer::{
    Clock, SessionId, SessionStore,
    conformance::{self, Harness},
    record::{Epoch, Record, RecordKind},
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, Owners, Page,
        StoreError, StoreErrorKind, Stored, Swept, Touch, Tracked, Update, Usage, Version,
    },
};
use tokio::sync::Notify;

/// A record with more bytes of entries than this is refused.
pub(crate) const LARGEST: usize = 200_000;

#[derive(Clone)]
pub(crate) struct Reference {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    unlocked: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    versions: u64,
    pub(crate) slots: HashMap<SessionId, Slot>,
    pub(crate) down: bool,
    pub(crate) closed: bool,
    /// Which answer from now on is lost, if any, and whether it was lost.
    losing: Option<u32>,
    lost: bool,
}

#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) stored: Stored,
    pub(crate) lease: Option<(Holder, SystemTime)>,
    pub(crate) damaged: bool,
}

impl Slot {
    pub(crate) fn new(stored: Stored) -> Self {
        Self { stored, lease: None, damaged: false }
    }

    fn leased_by(&self, now: SystemTime) -> Option<Holder> {
        self.lease.filter(|(_, until)| now < *until).map(|(holder, _)| holder)
    }
}

impl State {
    pub(crate) fn next_version(&mut self) -> Version {
        self.versions += 1;
        Version::from_u64(self.versions)
    }

    /// Returns the answer to a request that was carried out, unless this is the answer to lose.
    fn answer<T>(&mut self, answer: T, if_lost: StoreErrorKind) -> Result<T, StoreError> {
        self.losing = self.losing.map(|left| left.saturating_sub(1));
        if self.losing != Some(0) {
            return Ok(answer);
        }
        (self.losing, self.lost) = (None, true);
        Err(StoreError::new(if_lost))
    }

    /// Returns the answer to a write.
    fn written<T>(&mut self, answer: T) -> Result<T, StoreError> {
        self.answer(answer, StoreErrorKind::OutcomeUnknown)
    }

    /// Returns the current epoch of an owner.
    fn epoch(&self, owner: &str, now: SystemTime) -> Option<Epoch> {
        let slot = self.slots.get(&SessionId::for_epoch(owner)).filter(|slot| !slot.stored.is_expired(now))?;
        let held = slot.stored.record.owner().filter(|held| **held.name() == *owner)?;
        (slot.stored.record.kind() == RecordKind::Epoch).then(|| held.epoch())
    }

    pub(crate) fn put(&mut self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Version {
        let version = self.next_version();
        let stored = Stored::new(Arc::clone(record), version, usage);
        match self.slots.get_mut(id) {
            Some(slot) => (slot.stored, slot.damaged) = (stored, false),
            None => {
                self.slots.insert(*id, Slot::new(stored));
            }
        }
        version
    }
}

impl Reference {
    /// Adds whether the record is the stored one.
    fn track(&self, id: &SessionId, stored: Stored) -> Stored {
        let (shared, id, of) = (Arc::clone(&self.shared), *id, (stored.version, stored.usage()));
        stored.with_tracked(Tracked::new(move || {
            let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.slots.get(&id).is_some_and(|slot| (slot.stored.version, slot.stored.usage()) == of)
        }))
    }

    pub(crate) fn new(clock: Clock) -> Self {
        Self { shared: Arc::new(Shared { clock, state: Mutex::default(), unlocked: Notify::new() }) }
    }

    /// Creates a harness with every setting.
    pub(crate) fn harness(clock: &Clock, store: &Self, tested: impl Fn(Self) -> session_layer::DynStore) -> Harness {
        let (damaged, away, losing) = (store.clone(), store.clone(), store.clone());
        Harness::new(tested(store.clone()), clock.clone())
            .twin(tested(store.clone()))
            .expects_all()
            .refuses(LARGEST + 1)
            .damage(move |id| {
                if let Some(slot) = damaged.raw().slots.get_mut(&id) {
                    slot.damaged = true;
                }
                async {}
            })
            .outage(move |down| {
                away.raw().down = down;
                async {}
            })
            .lose_answers(move |nth| {
                let mut state = losing.raw();
                state.losing = nth;
                let lost = std::mem::take(&mut state.lost);
                async move { lost }
            })
    }

    pub(crate) async fn open() -> Harness {
        let clock = conformance::manual_clock();
        Self::harness(&clock, &Self::new(clock.clone()), session_layer::DynStore::new)
    }

    /// The state as it is, including expired and damaged records.
    pub(crate) fn raw(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Waits once, then does what [`live_at_once`](Self::live_at_once) does.
    async fn live(&self, ids: &[&SessionId]) -> Result<MutexGuard<'_, State>, StoreError> {
        tokio::task::yield_now().await;
        self.live_at_once(ids)
    }

    /// Returns the state without the expired sessions among these ids. If `ids` is empty, removes all expired ones.
    fn live_at_once(&self, ids: &[&SessionId]) -> Result<MutexGuard<'_, State>, StoreError> {
        let (mut state, now) = (self.raw(), self.now());
        if state.down || state.closed {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        let concerned = |id: &SessionId| ids.is_empty() || ids.contains(&id);
        state.slots.retain(|id, slot| !(concerned(id) && slot.stored.is_expired(now)));
        Ok(state)
    }

    fn fits(record: &Record) -> Result<(), StoreError> {
        let fits = record.entries().as_bytes().len() <= LARGEST;
        if fits { Ok(()) } else { Err(StoreError::new(StoreErrorKind::TooLarge)) }
    }

    fn undamaged(slot: Option<&mut Slot>) -> Result<Option<&mut Slot>, StoreError> {
        match slot {
            Some(slot) if slot.damaged => Err(StoreError::new(StoreErrorKind::Corrupt)),
            other => Ok(other),
        }
    }

    fn load_from(&self, mut state: MutexGuard<'_, State>, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let stored = Self::undamaged(state.slots.get_mut(id))?.map(|slot| slot.stored.clone());
        let now = self.now();
        let stored = stored.map(|stored| self.track(id, stored));
        let stored = stored.map(|stored| match stored.record.owner().map(|owner| Arc::clone(owner.name())) {
            Some(owner) if stored.record.is_session() => stored.with_owner_epoch(state.epoch(&owner, now)),
            _ => stored,
        });
        state.answer(stored, StoreErrorKind::Unavailable)
    }

    fn create_in(
        mut state: MutexGuard<'_, State>,
        id: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Create, StoreError> {
        if state.slots.contains_key(id) {
            return state.written(Create::Exists);
        }
        let version = state.put(id, record, usage);
        state.written(Create::Created(version))
    }

    fn update_in(
        mut state: MutexGuard<'_, State>,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        // The version is stored apart from the bytes, so it can be compared even if they are damaged.
        let updated = match state.slots.get_mut(id) {
            None => Update::Gone,
            Some(slot) if slot.stored.version != *expected => Update::Conflict(None),
            Some(_) => Update::Updated(state.put(id, record, usage)),
        };
        state.written(updated)
    }

    /// Removes the records that match, and returns how many sessions were removed and how many are left.
    async fn remove_if(&self, remove: impl Fn(&Slot, SystemTime) -> bool) -> Result<Swept, StoreError> {
        tokio::task::yield_now().await;
        let (mut state, now) = (self.raw(), self.now());
        let sessions = |state: &State| state.slots.values().filter(|slot| slot.stored.record.is_session()).count();
        let before = sessions(&state);
        state.slots.retain(|_, slot| !slot.stored.is_expired(now) && !remove(slot, now));
        let remaining = sessions(&state);
        Ok(Swept { deleted: (before - remaining) as u64, remaining: remaining as u64 })
    }
}

impl SessionStore for Reference {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let state = self.live(&[id]).await?;
        self.load_from(state, id)
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        Self::fits(record)?;
        Self::create_in(self.live(&[id]).await?, id, record, usage)
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        Self::fits(record)?;
        Self::update_in(self.live(&[id]).await?, id, record, expected, usage)
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        Some(self.live_at_once(&[id]).and_then(|state| self.load_from(state, id)))
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        let state = Self::fits(record).and_then(|()| self.live_at_once(&[id]));
        Some(state.and_then(|state| Self::create_in(state, id, record, usage)))
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        let state = Self::fits(record).and_then(|()| self.live_at_once(&[id]));
        Some(state.and_then(|state| Self::update_in(state, id, record, expected, usage)))
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let mut state = self.live(&[id]).await?;
        let Some(slot) = Self::undamaged(state.slots.get_mut(id))? else { return Ok(Touch::Gone) };
        let before = slot.stored.usage();
        let later =
            Usage { used_at: usage.used_at.max(before.used_at), expires_at: usage.expires_at.max(before.expires_at) };
        slot.stored = Stored::new(Arc::clone(&slot.stored.record), slot.stored.version, later);
        state.written(Touch::Touched)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _: SystemTime) -> Result<End, StoreError> {
        let mut state = self.live(&[id]).await?;
        let ended = match Self::undamaged(state.slots.get_mut(id))? {
            None => End::Gone,
            Some(slot) if slot.stored.version != *expected => End::Conflict(None),
            Some(_) => {
                state.slots.remove(id);
                End::Ended
            }
        };
        state.written(ended)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let mut state = self.live(&[id]).await?;
        let removed = state.slots.remove(id).is_some();
        state.written(removed)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let now = self.now();
        let metadata = |slot: &mut Slot| match slot.lease {
            Some((_, until)) if now < until => Metadata::of(&slot.stored, now).with_lease(until),
            _ => Metadata::of(&slot.stored, now),
        };
        Ok(self.live(&[id]).await?.slots.get_mut(id).map(metadata))
    }

    async fn close(&self) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        self.raw().closed = true;
        Ok(())
    }

    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        let stored = self.raw().slots.get(id).map(|slot| slot.stored.clone()).filter(|it| it.version == *version)?;
        self.track(id, stored).tracked
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "reference"
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn clearing(&self) -> Option<&dyn Clearing> {
        Some(self)
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl Listing for Reference {
    /// The cursor is the first eight bytes of the last id. Ids with the same first eight bytes are returned together.
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        let state = self.live(&[]).await?;
        let place = |id: &SessionId| u64::from_be_bytes(std::array::from_fn(|at| id.as_bytes()[at]));
        let mut ids: Vec<_> =
            state.slots.iter().filter(|(_, slot)| slot.stored.record.is_session()).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.retain(|id| place(id) >= from.to_u64().unwrap_or(0));
        let next = ids.get(limit).map(|id| Cursor::from_u64(place(id)));
        ids.truncate(limit);
        Ok(Page { ids, next })
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.live(&[]).await?.slots.values().filter(|slot| slot.stored.record.is_session()).count() as u64)
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.remove_if(|_, _| false).await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        self.remove_if(|Slot { stored, .. }, now| {
            stored.record.is_session() && idle.includes(stored.record.lifetime(), stored.used_at, now)
        })
        .await
    }
}

#[async_trait::async_trait]
impl Clearing for Reference {
    async fn clear(&self) -> Result<u64, StoreError> {
        let count = self.count().await?;
        self.live(&[]).await?.slots.clear();
        Ok(count)
    }
}

#[async_trait::async_trait]
impl Owners for Reference {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let state = self.live(&[]).await?;
        let theirs = |stored: &Stored| {
            stored.record.is_session() && stored.record.owner().is_some_and(|held| **held.name() == *owner)
        };
        let theirs = state.slots.iter().filter(|(_, slot)| theirs(&slot.stored));
        Ok(theirs.map(|(id, slot)| ListedSession::new(*id).with_stored(slot.stored.clone())).collect())
    }
}

#[async_trait::async_trait]
impl Leases for Reference {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        let now = self.now();
        let mut state = self.live(&[id]).await?;
        let version = state.next_version();
        let Some(slot) = state.slots.get_mut(id) else { return Ok(Acquire::Absent) };
        match slot.leased_by(now) {
            Some(other) if other != holder => return Ok(Acquire::Held),
            Some(_) => {}
            None => slot.stored.version = version,
        }
        let until = now + time;
        slot.lease = Some((holder, until));
        state.written(Acquire::acquired(until))
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let now = self.now();
        let mut state = self.live(&[id]).await?;
        let Some(slot) = state.slots.get_mut(id) else { return Ok(false) };
        if slot.leased_by(now) != Some(holder) {
            return Ok(false);
        }
        slot.lease = None;
        self.shared.unlocked.notify_waiters();
        Ok(true)
    }

    async fn released(&self, id: &SessionId, at_most: Duration) {
        let given_back = self.shared.unlocked.notified();
        let now = self.now();
        let held = self.raw().slots.get(id).is_some_and(|slot| slot.leased_by(now).is_some());
        if held {
            let _ = tokio::time::timeout(at_most, given_back).await;
        }
    }
}
