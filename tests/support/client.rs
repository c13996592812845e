//! Clients that keep track of what their sessions must contain, whatever happens to the servers.
//!
//! Each client has one session, which only it writes. It compares every byte that it loads, and every outcome, with
//! earlier answers. This detects a write that is lost, done twice, done although it was reported as failed, or brought
//! back.

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

/// What a store guarantees about its data during the faults of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Everything that was acknowledged or read stays.
    All,
    /// Everything that was acknowledged stays. A fault may undo what was read, but not acknowledged.
    Acknowledged,
    /// A fault may end sessions. A session that remains is in the state in which it was left.
    Ends,
    /// A fault may end sessions, return them to an older state, or undo logouts.
    Older,
}

impl Promise {
    pub const EACH: [Self; 4] = [Self::All, Self::Acknowledged, Self::Ends, Self::Older];
}

/// The state that the clients of one process share.
pub struct World {
    pub store: DynStore,
    pub promise: Promise,
    /// The limit of one request.
    pub limit: Duration,
    /// The first byte of every id, if the location of the sessions matters.
    pub first_byte: Option<u8>,
    pub seen: Seen,
    /// Odd during a fault that may break what is not guaranteed.
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

    /// Whether there has been a fault since this phase.
    fn had_fault_since(&self, checked: u64) -> bool {
        let now = self.phase();
        now != checked || !now.is_multiple_of(2)
    }

    /// Makes a call that consists of this many parts, and checks that each part keeps the time limit.
    async fn call<T>(&self, parts: u32, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let start = Instant::now();
        let result = call.await;
        let took = start.elapsed();
        Seen::note(&self.seen.longest_micros, took);
        Seen::note(&self.seen.overrun_micros, took.saturating_sub(self.limit * parts));
        let counter = match &result {
            Ok(_) => &self.seen.answered,
            Err(error) if is_unknown(error) => &self.seen.unknown,
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

/// Whether the write may have happened.
fn is_unknown(error: &StoreError) -> bool {
    [StoreErrorKind::OutcomeUnknown, StoreErrorKind::NotReplicated].contains(&error.kind())
}

/// Counts of what the clients observed.
#[derive(Debug, Default)]
pub struct Seen {
    pub answered: AtomicU64,
    /// Calls that changed nothing, according to their errors.
    pub errors: AtomicU64,
    pub timeouts: AtomicU64,
    pub unknown: AtomicU64,
    /// Acknowledged states, and ends of sessions, that a fault has undone where that is documented.
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

/// An id that no longer leads to a session.
struct Ended {
    id: SessionId,
    /// The phase in which it was last seen to be gone.
    checked: u64,
}

/// One session, which only this client writes, and its expected state.
pub struct Client {
    who: u64,
    id: SessionId,
    /// Whether its creation was acknowledged.
    created: bool,
    /// Whether there was an end with an unknown outcome.
    removing: bool,
    /// Whether there was a write with an unknown outcome, which may still arrive.
    pending: bool,
    /// The last acknowledged number, the last number that was read, and the last that may have been written.
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

    /// The number in a loaded value. Every byte of the value must be this session's.
    fn number(&self, value: &[u8]) -> u64 {
        let n = u64::from_le_bytes(value[8..16].try_into().unwrap());
        assert!(value == self.value(n), "session {} was given another value", self.who);
        assert!(n <= self.attempted, "{}: {n} was written by nobody, at most {}", self.who, self.attempted);
        n
    }

    fn begin_again(&mut self, world: &World) {
        *self = Self { ended: std::mem::take(&mut self.ended), ..Self::new(self.who, world) };
    }

    /// Notes that this id no longer leads to a session.
    fn has_ended(&mut self, id: SessionId, world: &World) {
        self.ended.push(Ended { id, checked: self.checked });
        world.seen.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a fault may have ended the session.
    fn may_be_gone(&self, world: &World) -> bool {
        matches!(world.promise, Promise::Ends | Promise::Older) && world.had_fault_since(self.checked)
    }

    /// Whether a pending write of this client, or a fault, can explain a conflict.
    fn may_conflict(&self, world: &World) -> bool {
        self.pending || world.promise != Promise::All && world.had_fault_since(self.checked)
    }

    /// Compares a load with the expected state. Returns the number if the session is present.
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

    /// Makes one load and one write. Returns whether both were answered.
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
            // The create may be carried out later. Ids are never used twice.
            Err(error) if is_unknown(error) => self.begin_again(world),
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
                // While there are two primaries, both can be read until one of them learns that it no longer is one.
                let may_see_older = matches!(world.promise, Promise::Acknowledged | Promise::Older);
                self.attempted = if may_see_older { self.attempted.max(n + 1) } else { n + 1 };
                // An earlier write that is still in progress expects another version.
                self.pending = false;
            }
            Ok(Update::Conflict(_)) => assert!(self.may_conflict(world), "{}: a conflict with nobody", self.who),
            Ok(Update::Gone) => assert!(self.may_be_gone(world), "session {} was removed by nobody", self.who),
            Err(error) => self.note_unknown(error, n + 1),
        }
        outcome.is_ok()
    }

    fn note_unknown(&mut self, error: &StoreError, n: u64) {
        if is_unknown(error) {
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
                self.removing |= is_unknown(error);
                self.note_unknown(error, self.attempted);
            }
        }
        outcome.is_ok()
    }

    /// Renews the session, as a login does.
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
            Err(error) if is_unknown(error) => self.begin_again(world),
            Err(_) => {}
        }
        outcome.is_ok()
    }

    /// Checks an id that has ended.
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
        // The removal was undone. It is repeated, and then it must last.
        let again = world.call(2, world.store.remove(&ended.id)).await;
        if again.is_ok() {
            ended.checked = before;
        }
        again.is_ok()
    }

    /// At the end, when all servers are healthy, checks the session and all ids that have ended.
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

/// Runs clients until `stop`, with a short pause after each step. Returns them, and counts each client's steps that
/// were fully answered.
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
