//! Clients that know what their sessions must hold, whatever happens to the servers.
//!
//! Each has one session that nobody else writes. It compares every byte that it loads and every outcome with what it
//! was told before, so that a write that is lost, done twice, done although it was reported as failed, or brought
//! back shows.

#![allow(dead_code, reason = "each test uses some of the helpers")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use session_layer::{
    DynStore, SessionId, SessionStore,
    store::{Create, End, Rename, StoreError, StoreErrorKind, Update},
};

use crate::support::{id, random, record, tombstone, usage, value};

/// What a store promises of its data through the faults of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// What was acknowledged or read stays.
    All,
    /// What was acknowledged stays. A fault may take back what was read and not acknowledged.
    Acknowledged,
    /// A fault may end sessions. What is there is as it was left.
    Ends,
    /// A fault may end sessions, return them to an older state, and undo logouts.
    Older,
}

impl Promise {
    pub const EACH: [Self; 4] = [Self::All, Self::Acknowledged, Self::Ends, Self::Older];
}

/// What the clients of one process share.
pub struct World {
    pub store: DynStore,
    pub promise: Promise,
    /// The limit of one request.
    pub limit: Duration,
    /// The first byte of every id, if it matters where the sessions are.
    pub first_byte: Option<u8>,
    pub seen: Seen,
    /// Odd while there is a fault that may break what is not promised.
    pub phase: AtomicU64,
}

impl World {
    pub fn new(store: DynStore, promise: Promise, limit: Duration) -> Self {
        Self { store, promise, limit, first_byte: None, seen: Seen::default(), phase: AtomicU64::new(0) }
    }

    fn fresh(&self) -> SessionId {
        let fits = |id: &SessionId| self.first_byte.is_none_or(|first| id.as_bytes()[0] == first);
        std::iter::repeat_with(id).find(fits).expect("one in 256")
    }

    fn phase(&self) -> u64 {
        self.phase.load(Ordering::SeqCst)
    }

    /// Whether there was a fault since this phase.
    fn had_fault_since(&self, checked: u64) -> bool {
        let now = self.phase();
        now != checked || !now.is_multiple_of(2)
    }

    /// Makes a call of which each part ends within the limit.
    async fn call<T>(&self, parts: u32, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call.await;
        let took = start.elapsed();
        Seen::note(&self.seen.longest_micros, took);
        Seen::note(&self.seen.overrun_micros, took.saturating_sub(self.limit * parts));
        let counter = match &result {
            Ok(_) => &self.seen.answered,
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => &self.seen.unknown,
            Err(error) if error.kind() == StoreErrorKind::Timeout => &self.seen.timeouts,
            Err(error) => {
                let cause = std::error::Error::source(error);
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}: {cause:?}");
                &self.seen.errors
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }
}

/// Counts what was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub answered: AtomicU64,
    /// Calls that changed nothing, as they were told: at once, or when their time was over.
    pub errors: AtomicU64,
    pub timeouts: AtomicU64,
    pub unknown: AtomicU64,
    /// Acknowledged states, and ends of sessions, that a fault has taken back where that is documented.
    pub lost: AtomicU64,
    pub undone: AtomicU64,
    /// Sessions that were ended or renewed.
    pub ended: AtomicU64,
    pub longest_micros: AtomicU64,
    /// By how much the longest call exceeded the limits of its parts.
    pub overrun_micros: AtomicU64,
    /// By how much the machine was late to wake somebody who had nothing else to do.
    pub late_micros: AtomicU64,
}

impl Seen {
    fn note(longest: &AtomicU64, time: Duration) {
        longest.fetch_max(u64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    }

    pub fn numbers(&self) -> [u64; 10] {
        let Self { answered, errors, timeouts, unknown, lost, undone, ended, .. } = self;
        let Self { longest_micros, overrun_micros, late_micros, .. } = self;
        [answered, errors, timeouts, unknown, lost, undone, ended, longest_micros, overrun_micros, late_micros]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Notes how late the machine is, for as long as this is polled.
    pub async fn note_lateness(&self) {
        let pause = Duration::from_millis(10);
        loop {
            let start = Instant::now();
            tokio::time::sleep(pause).await;
            Self::note(&self.late_micros, start.elapsed().saturating_sub(pause));
        }
    }
}

/// An id that leads to no session any more.
struct Ended {
    id: SessionId,
    /// In which phase it was last seen to be gone.
    checked: u64,
}

/// One session, which nobody else writes, and its expected state.
pub struct Client {
    who: u64,
    id: SessionId,
    /// Whether its creation was acknowledged.
    created: bool,
    /// An end whose outcome is unknown.
    removing: bool,
    /// A write whose outcome is unknown, and which may still arrive.
    pending: bool,
    /// The last acknowledged number, the last one that was read, and the last one that may have been written.
    acknowledged: u64,
    read: u64,
    attempted: u64,
    /// The phase of the last load that was as expected.
    checked: u64,
    ended: Vec<Ended>,
}

impl Client {
    pub fn new(who: u64, world: &World) -> Self {
        Self {
            who,
            id: world.fresh(),
            created: false,
            removing: false,
            pending: false,
            acknowledged: 0,
            read: 0,
            attempted: 0,
            checked: world.phase(),
            ended: Vec::new(),
        }
    }

    fn value(&self, n: u64) -> Vec<u8> {
        let mut bytes = [self.who.to_le_bytes(), n.to_le_bytes()].concat();
        bytes.resize(16 + usize::try_from(n * 7 % 3_000).unwrap(), u8::try_from(self.who % 251).unwrap());
        bytes
    }

    /// The number in a loaded value, all of whose bytes must be this session's.
    fn number(&self, value: &[u8]) -> u64 {
        let n = u64::from_le_bytes(value[8..16].try_into().unwrap());
        assert!(value == self.value(n), "session {} was given another value", self.who);
        assert!(n <= self.attempted, "{}: {n} was written by nobody, at most {}", self.who, self.attempted);
        n
    }

    fn begin_again(&mut self, world: &World) {
        *self = Self { ended: std::mem::take(&mut self.ended), ..Self::new(self.who, world) };
    }

    /// This id leads to no session from now on.
    fn has_ended(&mut self, id: SessionId, world: &World) {
        self.ended.push(Ended { id, checked: self.checked });
        world.seen.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a fault may have ended the session.
    fn may_be_gone(&self, world: &World) -> bool {
        matches!(world.promise, Promise::Ends | Promise::Older) && world.had_fault_since(self.checked)
    }

    /// Whether a write of nobody else's may have come between.
    fn may_conflict(&self, world: &World) -> bool {
        self.pending || world.promise != Promise::All && world.had_fault_since(self.checked)
    }

    /// Compares a load with what is expected. Returns the number if the session is there.
    fn check(&mut self, value: Option<&[u8]>, before: u64, world: &World) -> Option<u64> {
        let Some(value) = value else {
            if self.created && !self.removing {
                assert!(self.may_be_gone(world), "session {} was lost: {} in {}", self.who, self.id, world.phase());
                world.seen.lost.fetch_add(1, Ordering::Relaxed);
            }
            return None;
        };
        let n = self.number(value);
        let floor = match world.promise {
            Promise::Acknowledged if world.had_fault_since(self.checked) => self.acknowledged,
            Promise::Older if world.had_fault_since(self.checked) => 0,
            _ => self.acknowledged.max(self.read),
        };
        assert!(n >= floor, "{}: {n} after {floor}, with {} attempted", self.who, self.attempted);
        if n < self.acknowledged {
            world.seen.lost.fetch_add(1, Ordering::Relaxed);
            self.acknowledged = n;
        }
        self.read = n;
        self.checked = before;
        Some(n)
    }

    /// One load, and one write. Returns whether everything was answered.
    pub async fn step(&mut self, world: &World) -> bool {
        if !self.ended.is_empty() && random().is_multiple_of(8) {
            let index = usize::try_from(random()).unwrap() % self.ended.len();
            return self.stays_ended(index, world).await;
        }
        let before = world.phase();
        let Ok(held) = world.call(1, world.store.load(&self.id)).await else { return false };
        assert!(held.as_ref().is_none_or(|held| held.record.is_session()), "{}: a tombstone", self.who);
        let Some(n) = self.check(held.as_ref().map(value), before, world) else {
            if self.removing && matches!(world.promise, Promise::All | Promise::Ends) {
                self.has_ended(self.id, world);
            }
            if self.created {
                self.begin_again(world);
            }
            return self.create(world).await;
        };
        let version = &held.expect("it has a number").version;
        match random() % 32 {
            _ if self.removing => self.end(version, world).await,
            0 | 1 => self.end(version, world).await,
            2 => self.renew(version, n, world).await,
            _ => self.update(version, n, world).await,
        }
    }

    async fn create(&mut self, world: &World) -> bool {
        let first = record(&self.value(1));
        let outcome = world.call(2, world.store.create(&self.id, &first, usage(&first))).await;
        match &outcome {
            Ok(Create::Created(_)) => {
                self.created = true;
                (self.acknowledged, self.read, self.attempted) = (1, 1, 1);
            }
            Ok(Create::Exists) => panic!("a new id is taken"),
            // It may be carried out later. Ids are never used twice.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => self.begin_again(world),
            Err(_) => {
                self.has_ended(self.id, world);
                self.begin_again(world);
            }
        }
        outcome.is_ok()
    }

    async fn update(&mut self, version: &session_layer::store::Version, n: u64, world: &World) -> bool {
        let next = record(&self.value(n + 1));
        let outcome = world.call(2, world.store.update(&self.id, &next, version, usage(&next))).await;
        match &outcome {
            Ok(Update::Updated(_)) => {
                (self.acknowledged, self.read) = (n + 1, n + 1);
                // Two primaries at once can both be read until one of them is told that it is none.
                let may_see_older = matches!(world.promise, Promise::Acknowledged | Promise::Older);
                self.attempted = if may_see_older { self.attempted.max(n + 1) } else { n + 1 };
                // An earlier one that is still under way expects another version.
                self.pending = false;
            }
            Ok(Update::Conflict(_)) => assert!(self.may_conflict(world), "{}: a conflict with nobody", self.who),
            Ok(Update::Gone) => assert!(self.may_be_gone(world), "session {} was removed by nobody", self.who),
            Err(error) => self.note_unknown(error, n + 1),
        }
        outcome.is_ok()
    }

    fn note_unknown(&mut self, error: &StoreError, n: u64) {
        if error.kind() == StoreErrorKind::OutcomeUnknown {
            self.pending = true;
            self.attempted = self.attempted.max(n);
        }
    }

    async fn end(&mut self, version: &session_layer::store::Version, world: &World) -> bool {
        let was_removing = self.removing;
        let outcome = if random().is_multiple_of(2) {
            world
                .call(2, world.store.remove(&self.id))
                .await
                .map(|removed| if removed { End::Ended } else { End::Gone })
        } else {
            world.call(4, world.store.end(&self.id, version, std::time::SystemTime::now())).await
        };
        match &outcome {
            Ok(End::Ended) => {
                self.has_ended(self.id, world);
                self.begin_again(world);
            }
            Ok(End::Gone) => {
                assert!(was_removing || self.may_be_gone(world), "session {} was removed by nobody", self.who);
                self.begin_again(world);
            }
            Ok(End::Conflict(_)) => assert!(self.may_conflict(world), "{}: a conflict with nobody", self.who),
            Err(error) => {
                self.removing |= error.kind() == StoreErrorKind::OutcomeUnknown;
                self.note_unknown(error, self.attempted);
            }
        }
        outcome.is_ok()
    }

    /// As at a login.
    async fn renew(&mut self, version: &session_layer::store::Version, n: u64, world: &World) -> bool {
        let (to, next, tombstone) = (world.fresh(), record(&self.value(n + 1)), tombstone());
        let renewal = world.store.rename(&self.id, version, &tombstone, &to, &next, usage(&next));
        let outcome = world.call(6, renewal).await;
        match &outcome {
            Ok(Rename::Renamed(_)) => {
                self.has_ended(self.id, world);
                let (checked, n) = (self.checked, n + 1);
                self.begin_again(world);
                (self.id, self.created, self.checked) = (to, true, checked);
                (self.acknowledged, self.read, self.attempted) = (n, n, n);
            }
            Ok(Rename::Conflict(_)) => assert!(self.may_conflict(world), "{}: a conflict with nobody", self.who),
            Ok(Rename::Gone) => assert!(self.may_be_gone(world), "session {} was removed by nobody", self.who),
            Ok(Rename::Exists) => panic!("a new id is taken"),
            // The session may be under either id.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => self.begin_again(world),
            Err(_) => {}
        }
        outcome.is_ok()
    }

    /// Looks at an id that has ended.
    async fn stays_ended(&mut self, index: usize, world: &World) -> bool {
        let (before, ended) = (world.phase(), &mut self.ended[index]);
        let Ok(held) = world.call(1, world.store.load(&ended.id)).await else { return false };
        if held.is_none_or(|held| !held.record.is_session()) {
            ended.checked = before;
            return true;
        }
        let may_be_back = world.promise == Promise::Older && world.had_fault_since(ended.checked);
        assert!(may_be_back, "session {} of {} is back", ended.id, self.who);
        world.seen.undone.fetch_add(1, Ordering::Relaxed);
        // Said again, it is done.
        let again = world.call(2, world.store.remove(&ended.id)).await;
        if again.is_ok() {
            ended.checked = before;
        }
        again.is_ok()
    }

    /// At the end, when everything is well: looks at its session, and at all that have ended.
    pub async fn check_all(&mut self, world: &World) {
        let (before, limit) = (world.phase(), Instant::now() + Duration::from_secs(60));
        // A busy machine may be too slow for the limit of one request.
        let patience = || assert!(Instant::now() < limit, "everything is well, and nothing is answered");
        let held = loop {
            match world.call(1, world.store.load(&self.id)).await {
                Ok(held) => break held,
                Err(_) => patience(),
            }
        };
        self.check(held.as_ref().map(value), before, world);
        for index in 0..self.ended.len() {
            while !self.stays_ended(index, world).await {
                patience();
            }
        }
    }
}

/// Runs clients until `stop`, each with a short pause after each step. Returns them, and counts the steps of each of
/// which everything was answered.
pub fn run(
    world: &Arc<World>,
    who: std::ops::Range<u64>,
    stop: &Arc<std::sync::atomic::AtomicBool>,
) -> (Vec<tokio::task::JoinHandle<Client>>, Vec<Arc<AtomicU64>>) {
    who.map(|who| {
        let (world, stop, good) = (Arc::clone(world), Arc::clone(stop), Arc::<AtomicU64>::default());
        let counter = Arc::clone(&good);
        let task = tokio::spawn(async move {
            let mut client = Client::new(who, &world);
            while !stop.load(Ordering::Relaxed) {
                if client.step(&world).await {
                    good.fetch_add(1, Ordering::SeqCst);
                }
                // Leaves the server some processor time.
                tokio::time::sleep(Duration::from_micros(random() % 2_000)).await;
            }
            client
        });
        (task, counter)
    })
    .unzip()
}
