//! Compares the store with a model that is simple enough to trust: contents, order of eviction, byte count, owners.

#![cfg(not(session_layer_loom))]

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::{
    MemoryStore, MemoryStoreBuilder,
    occupancy::Bounds,
    slot::{Class, cost},
};
use crate::{
    Clock, Lifetime, SessionId, SessionStore, clock,
    id::TokenCheck,
    record::{Entries, Epoch, Owner, Record},
    store::{Clearing, Create, Cursor, Listing, Owners, Rename, StoreErrorKind, Touch, Update, Usage, Version},
};

const START: u64 = 1_800_000_000_000;

/// Polls a call once. Without a journal, no call of the store waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a call without a journal waited"),
    }
}

#[derive(Debug, Clone)]
struct Held {
    id: SessionId,
    record: Arc<Record>,
    version: Version,
    used_at: u64,
    expires_at: u64,
    loads: u64,
}

impl Held {
    fn class(&self) -> Class {
        Class::of(&self.record)
    }
}

/// All records in one list, the least recently used first.
#[derive(Debug, Default)]
struct Model {
    held: Vec<Held>,
    now: u64,
    created: u64,
    evicted: u64,
    expired: u64,
    removed: u64,
}

impl Model {
    fn live(&self, id: &SessionId) -> Option<usize> {
        self.held.iter().position(|held| held.id == *id && held.expires_at > self.now)
    }

    /// Moves a record to the end, as the most recently used.
    fn used(&mut self, at: usize) -> &mut Held {
        let held = self.held.remove(at);
        self.held.push(held);
        self.held.last_mut().expect("just pushed")
    }

    fn total(&self, of: impl Fn(&Held) -> bool, each: impl Fn(&Held) -> u64) -> u64 {
        self.held.iter().filter(|held| of(held)).map(each).sum()
    }

    fn bytes(&self) -> u64 {
        self.total(|_| true, |held| cost(&held.record))
    }

    fn sessions(&self) -> u64 {
        self.total(|held| held.record.is_session(), |_| 1)
    }

    fn excess(&self, bounds: &Bounds) -> &'static [Class] {
        let owned = |held: &Held| held.class() == Class::Owned;
        let kept = |held: &Held| matches!(held.class(), Class::Owned | Class::Epoch);
        if self.total(owned, |_| 1) > bounds.owned_capacity() {
            &[Class::Owned]
        } else if self.total(kept, |held| cost(&held.record)) > bounds.owned_bytes() {
            &[Class::Epoch, Class::Owned]
        } else if self.sessions() > bounds.capacity {
            &[Class::Ownerless, Class::Owned]
        } else if self.bytes() > bounds.bytes {
            &[Class::Ownerless, Class::Tombstone, Class::Epoch, Class::Owned]
        } else {
            &[]
        }
    }

    /// Evicts as documented.
    fn make_room(&mut self, newest: &SessionId, bounds: &Bounds) {
        loop {
            let victim = self.excess(bounds).iter().find_map(|class| {
                self.held.iter().position(|held| {
                    let name = held.record.owner().map(Owner::name);
                    let in_use = *class == Class::Epoch
                        && self.held.iter().any(|other| {
                            other.class() == Class::Owned && other.record.owner().map(Owner::name) == name
                        });
                    held.class() == *class && held.id != *newest && !in_use
                })
            });
            let Some(victim) = victim else { return };
            self.evicted += u64::from(self.held.remove(victim).record.is_session());
        }
    }

    fn put(&mut self, id: SessionId, record: &Arc<Record>, version: Version, usage: Usage) {
        self.created += u64::from(record.is_session());
        let (used_at, expires_at) = (clock::to_millis(usage.used_at), expiry(record, usage));
        self.held.push(Held { id, record: Arc::clone(record), version, used_at, expires_at, loads: 0 });
    }

    /// Frees the id if its record has expired.
    fn forget_expired(&mut self, id: &SessionId) {
        if let Some(at) = self.held.iter().position(|held| held.id == *id && held.expires_at <= self.now) {
            self.expired += u64::from(self.held.remove(at).record.is_session());
        }
    }

    fn sweep(&mut self) -> u64 {
        let before = self.sessions();
        let now = self.now;
        self.held.retain(|held| held.expires_at > now);
        let deleted = before - self.sessions();
        self.expired += deleted;
        deleted
    }
}

fn expiry(record: &Record, usage: Usage) -> u64 {
    clock::to_millis(usage.expires_at.min(record.absolute_limit()))
}

#[derive(Debug, Clone)]
enum Step {
    Create { id: u8, owner: u8, size: usize, idle: u64 },
    Load(u8),
    Update { id: u8, owner: u8, size: usize, idle: u64, stale: bool },
    Touch { id: u8, idle: u64 },
    Remove(u8),
    Rename { from: u8, to: u8, owner: u8, stale: bool },
    Login(u8),
    Advance(u64),
    Sweep,
    DeleteIdle(u64),
    Clear,
}

fn step(largest: usize) -> impl Strategy<Value = Step> {
    let id = 0u8..16;
    let owner = 0u8..6;
    let size = 0..largest;
    // Up to two hours: the absolute limit is one.
    let idle = 1_000u64..7_200_000;
    prop_oneof![
        8 => (id.clone(), owner.clone(), size.clone(), idle.clone())
            .prop_map(|(id, owner, size, idle)| Step::Create { id, owner, size, idle }),
        4 => id.clone().prop_map(Step::Load),
        4 => (id.clone(), owner.clone(), size, idle.clone(), any::<bool>())
            .prop_map(|(id, owner, size, idle, stale)| Step::Update { id, owner, size, idle, stale }),
        2 => (id.clone(), idle).prop_map(|(id, idle)| Step::Touch { id, idle }),
        2 => id.clone().prop_map(Step::Remove),
        2 => (id.clone(), id, owner.clone(), any::<bool>())
            .prop_map(|(from, to, owner, stale)| Step::Rename { from, to, owner, stale }),
        2 => owner.prop_map(Step::Login),
        2 => prop_oneof![0u64..2_000, 0u64..4_000_000].prop_map(Step::Advance),
        1 => Just(Step::Sweep),
        1 => (1u64..3_600_000).prop_map(Step::DeleteIdle),
        1 => Just(Step::Clear),
    ]
}

/// The store and the model, side by side.
struct Pair {
    store: MemoryStore,
    clock: Clock,
    bounds: Bounds,
    model: Model,
}

impl Pair {
    fn new(capacity: u64, bytes: u64) -> Self {
        let clock = Clock::manual(clock::from_millis(START));
        let builder = MemoryStoreBuilder::default().capacity(capacity).bytes(bytes).clock(clock.clone());
        let store = builder.open().expect("no path is set");
        let model = Model { now: START, ..Model::default() };
        Self { store, clock, bounds: Bounds::new(capacity, bytes), model }
    }

    fn record(&self, owner: u8, size: usize) -> Arc<Record> {
        let value = vec![b'x'; size];
        let entries = Entries::from_sorted([("n", &value[..])].into_iter()).expect("one key");
        let hour = Duration::from_secs(3_600);
        let lifetime = Lifetime::new(hour, hour).expect("an hour");
        // Three of the six numbers stand for no owner.
        let owner = owner.checked_sub(3).map(|owner| Owner::new(name(owner), Epoch::from_u64(1)).expect("a name"));
        let record = Record::session(TokenCheck::from_bytes([1; 16]), self.clock.now(), lifetime);
        Arc::new(record.with_entries(entries).with_owner(owner))
    }

    fn usage(&self, idle: u64) -> Usage {
        Usage::keep_for(self.clock.now(), Duration::from_millis(idle))
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Create { id, owner, size, idle } => {
                let (id, record, usage) = (session(id), self.record(owner, size), self.usage(idle));
                let outcome = now(self.store.create(&id, &record, usage));
                if cost(&record) > self.bounds.largest(&record) {
                    prop_assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::TooLarge);
                } else if self.model.live(&id).is_some() {
                    prop_assert_eq!(outcome.unwrap(), Create::Exists);
                } else {
                    let Create::Created(version) = outcome.unwrap() else {
                        return Err(TestCaseError::fail("the id was free"));
                    };
                    self.model.forget_expired(&id);
                    self.model.put(id, &record, version, usage);
                    self.model.make_room(&id, &self.bounds);
                }
            }
            Step::Load(id) => {
                let id = session(id);
                let loaded = now(self.store.load(&id)).unwrap();
                let expected = self.model.live(&id).map(|at| {
                    let held = self.model.used(at);
                    held.loads += 1;
                    held.clone()
                });
                prop_assert_eq!(loaded.is_some(), expected.is_some());
                if let (Some(loaded), Some(expected)) = (loaded, expected) {
                    prop_assert!(Arc::ptr_eq(&loaded.record, &expected.record));
                    prop_assert_eq!(loaded.version, expected.version);
                    prop_assert_eq!(clock::to_millis(loaded.expires_at), expected.expires_at);
                    prop_assert_eq!(clock::to_millis(loaded.used_at), expected.used_at);
                }
            }
            Step::Update { id, owner, size, idle, stale } => {
                let (id, record, usage) = (session(id), self.record(owner, size), self.usage(idle));
                let at = self.model.live(&id);
                let held = at.map_or(Version::from_u64(0), |at| self.model.held[at].version);
                let expected = if stale { Version::from_u64(u64::MAX) } else { held };
                let outcome = now(self.store.update(&id, &record, &expected, usage));
                match (outcome, at) {
                    (Err(error), _) => {
                        prop_assert_eq!(error.kind(), StoreErrorKind::TooLarge);
                        prop_assert!(cost(&record) > self.bounds.largest(&record));
                    }
                    (Ok(outcome), None) => prop_assert_eq!(outcome, Update::Gone),
                    (Ok(outcome), Some(_)) if stale => prop_assert_eq!(outcome, Update::Conflict(None)),
                    (Ok(Update::Updated(version)), Some(at)) => {
                        prop_assert_ne!(version, held);
                        let before = self.model.used(at);
                        let was = before.record.is_session();
                        before.record = Arc::clone(&record);
                        before.version = version;
                        before.used_at = clock::to_millis(usage.used_at);
                        before.expires_at = expiry(&record, usage);
                        self.model.created += u64::from(!was);
                        self.model.make_room(&id, &self.bounds);
                    }
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
            }
            Step::Touch { id, idle } => {
                let (id, usage) = (session(id), self.usage(idle));
                let outcome = now(self.store.touch(&id, usage)).unwrap();
                match self.model.live(&id) {
                    None => prop_assert_eq!(outcome, Touch::Gone),
                    Some(at) => {
                        prop_assert_eq!(outcome, Touch::Touched);
                        let held = self.model.used(at);
                        held.used_at = held.used_at.max(clock::to_millis(usage.used_at));
                        held.expires_at = held.expires_at.max(expiry(&held.record, usage));
                    }
                }
            }
            Step::Remove(id) => {
                let id = session(id);
                let removed = now(self.store.remove(&id)).unwrap();
                prop_assert_eq!(removed, self.model.live(&id).is_some());
                if let Some(at) = self.model.live(&id) {
                    self.model.removed += u64::from(self.model.held.remove(at).record.is_session());
                }
                self.model.forget_expired(&id);
            }
            Step::Rename { from, to, owner, stale } => self.rename(session(from), session(to), owner, stale)?,
            Step::Login(owner) => {
                let name = name(owner);
                let id = SessionId::for_epoch(&name);
                let usage = self.usage(3_600_000);
                let before = self.model.live(&id);
                let epoch = now(self.store.ensure_epoch(&name, usage)).unwrap();
                let stored = now(self.store.load(&id)).unwrap().expect("the newest is never evicted");
                prop_assert_eq!(stored.record.owner().expect("an epoch").epoch(), epoch);
                match before {
                    Some(at) => {
                        let held = self.model.used(at);
                        prop_assert!(Arc::ptr_eq(&held.record, &stored.record));
                        let extended = held.version != stored.version;
                        held.version = stored.version;
                        (held.used_at, held.expires_at) =
                            (clock::to_millis(stored.used_at), clock::to_millis(stored.expires_at));
                        // This is an update like any other, so what was spared before as the newest is spared no
                        // longer.
                        if extended {
                            self.model.make_room(&id, &self.bounds);
                        }
                    }
                    None => {
                        self.model.forget_expired(&id);
                        self.model.put(id, &stored.record, stored.version, stored.usage());
                        self.model.make_room(&id, &self.bounds);
                    }
                }
            }
            Step::Advance(by) => {
                self.clock.advance(Duration::from_millis(by));
                self.model.now += by;
            }
            Step::Sweep => {
                let swept = now(self.store.sweep()).unwrap();
                prop_assert_eq!(swept.deleted, self.model.sweep());
                prop_assert_eq!(swept.remaining, self.model.sessions());
            }
            Step::DeleteIdle(unused) => {
                let swept = now(self.store.delete_idle(Duration::from_millis(unused).into())).unwrap();
                let expired = self.model.sweep();
                let (before, cutoff) = (self.model.sessions(), self.model.now - unused);
                // A tenth of the idle timeout of one hour.
                self.model.held.retain(|held| !held.record.is_session() || held.used_at + 360_000 > cutoff);
                let idle = before - self.model.sessions();
                self.model.removed += idle;
                prop_assert_eq!((swept.deleted, swept.remaining), (expired + idle, self.model.sessions()));
            }
            Step::Clear => {
                self.model.sweep();
                prop_assert_eq!(now(self.store.clear()).unwrap(), self.model.sessions());
                self.model.removed += self.model.sessions();
                self.model.held.clear();
            }
        }
        self.compare()
    }

    fn rename(&mut self, from: SessionId, to: SessionId, owner: u8, stale: bool) -> Result<(), TestCaseError> {
        let (record, usage) = (self.record(owner, 10), self.usage(3_600_000));
        let at = self.model.live(&from);
        let held = at.map_or(Version::from_u64(0), |at| self.model.held[at].version);
        let expected = if stale { Version::from_u64(u64::MAX) } else { held };
        let tombstone = Arc::new(Record::plain_tombstone(TokenCheck::from_bytes([1; 16]), usage.used_at));
        let outcome = now(self.store.rename(&from, &expected, &tombstone, &to, &record, usage)).unwrap();
        let Some(at) = at else {
            prop_assert_eq!(outcome, Rename::Gone);
            return Ok(());
        };
        if stale {
            prop_assert_eq!(outcome, Rename::Conflict(None));
        } else if self.model.live(&to).is_some() {
            prop_assert_eq!(outcome, Rename::Exists);
        } else {
            let Rename::Renamed(version) = outcome else { return Err(TestCaseError::fail("it could be renamed")) };
            let left = Usage::at(&tombstone, usage.used_at);
            // The new record counts as used first, then the tombstone.
            let mut old = self.model.held.remove(at);
            self.model.removed += u64::from(old.record.is_session());
            self.model.forget_expired(&to);
            self.model.put(to, &record, version, usage);
            let stored = now(self.store.table_peek(&from)).expect("a tombstone");
            prop_assert_eq!(&stored.0, &tombstone);
            (old.record, old.version) = (stored.0, stored.1);
            (old.used_at, old.expires_at) = (clock::to_millis(left.used_at), clock::to_millis(left.expires_at));
            self.model.held.push(old);
            self.model.make_room(&to, &self.bounds);
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let statistics = self.store.statistics();
        prop_assert_eq!(statistics.bytes, self.model.bytes());
        prop_assert_eq!(statistics.present, self.model.sessions());
        prop_assert_eq!(statistics.created, self.model.created);
        prop_assert_eq!(statistics.evicted, self.model.evicted);
        prop_assert_eq!(statistics.expired, self.model.expired);
        prop_assert_eq!(statistics.removed, self.model.removed);
        let live = |held: &&Held| held.record.is_session() && held.expires_at > self.model.now;
        let mut expected: Vec<_> = self.model.held.iter().filter(live).map(|held| held.id).collect();
        expected.sort_unstable();
        let page = now(self.store.ids(Cursor::START, 1_000)).unwrap();
        let mut ids = page.ids;
        ids.sort_unstable();
        prop_assert_eq!((&ids, page.next), (&expected, None));
        for owner in 0..3 {
            let name = name(owner);
            let owned = |held: &&Held| held.record.owner().is_some_and(|owner| **owner.name() == *name);
            let mut expected: Vec<_> = self.model.held.iter().filter(live).filter(owned).map(|held| held.id).collect();
            expected.sort_unstable();
            let mut listed: Vec<_> =
                now(self.store.list_owner(&name)).unwrap().into_iter().map(|owned| owned.id).collect();
            listed.sort_unstable();
            prop_assert_eq!(listed, expected);
        }
        for held in &self.model.held {
            let metadata = now(self.store.metadata(&held.id)).unwrap().expect("it is there");
            if held.record.is_session() {
                prop_assert_eq!(metadata.access_count, Some(held.loads));
            }
        }
        Ok(())
    }
}

impl MemoryStore {
    /// Returns the record and its version, without counting as a use.
    async fn table_peek(&self, id: &SessionId) -> Option<(Arc<Record>, Version)> {
        let peek = self.core().table.peek(id, |held| (Arc::clone(&held.record), Version::from_u64(held.version)));
        peek.expect("the store is open")
    }
}

fn session(number: u8) -> SessionId {
    SessionId::for_epoch(&format!("session {number}"))
}

fn name(owner: u8) -> String {
    format!("owner {owner}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Bounded by the number of sessions.
    #[test]
    fn few_sessions(capacity in 2u64..9, steps in proptest::collection::vec(step(200), 1..80)) {
        let mut pair = Pair::new(capacity, 1 << 20);
        for step in &steps {
            pair.run(step)?;
        }
    }

    /// Bounded by bytes.
    #[test]
    fn few_bytes(steps in proptest::collection::vec(step(40_000), 1..80)) {
        let mut pair = Pair::new(400, 100_000);
        for step in &steps {
            pair.run(step)?;
        }
    }
}

/// A session that fits only without its owner's epoch is spared as the newest, until a login extends the epoch.
#[test]
fn an_extended_epoch_makes_room() {
    let mut pair = Pair::new(400, 100_000);
    let steps =
        [Step::Login(1), Step::Create { id: 0, owner: 4, size: 35_647, idle: 1_000 }, Step::Advance(1), Step::Login(1)];
    for step in &steps {
        pair.run(step).unwrap();
    }
}

/// With many shards, the victim is the oldest of its shard, so it is among the oldest of all. Of 64,000 sessions in 64
/// shards, 2,000 are evicted: 31 of each shard, give or take 6 (Poisson). The 31st of a shard is the 2,000th of all,
/// give or take 360. So one standard deviation puts the youngest victim within 500 of the 2,000th; 5 % of all, 3,200,
/// are more than six.
#[test]
fn the_order_of_eviction_deviates_little() {
    let clock = Clock::manual(UNIX_EPOCH + Duration::from_millis(START));
    let capacity = 64_000;
    let store = MemoryStoreBuilder::default().capacity(capacity).clock(clock.clone()).open().unwrap();
    assert_eq!(store.core().table.shard_count(), 64);
    let record = Arc::new(Record::session(TokenCheck::from_bytes([1; 16]), clock.now(), Lifetime::default()));
    let usage = Usage::at(&record, clock.now());
    let id = |number: u64| SessionId::for_epoch(&number.to_string());
    for number in 0..capacity {
        now(store.create(&id(number), &record, usage)).unwrap();
    }
    for number in capacity..capacity + 2_000 {
        now(store.create(&id(number), &record, usage)).unwrap();
    }
    let statistics = store.statistics();
    assert_eq!((statistics.present, statistics.evicted), (capacity, 2_000));
    let youngest = (0..capacity + 2_000).rfind(|&number| now(store.metadata(&id(number))).unwrap().is_none());
    // About the oldest 2,000 were evicted.
    assert!(youngest.expect("2,000 went") < 2_000 + capacity / 20, "{youngest:?}");
}
