//! What the kit has to know of a store, beside the store.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::Operation;
use crate::{
    clock::Clock,
    id::SessionId,
    store::{DynStore, SessionStore},
};

/// A hook's future.
type Done<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A hook that is told something.
type Hook<A, T = ()> = Box<dyn Fn(A) -> Done<T> + Send + Sync>;

/// A fresh, empty store on the test bench: how time passes for it, what it can do, and how it can be made to fail.
///
/// Only [`new`](Self::new) is needed. Each further line lets the kit check more; what it could not check is listed in
/// the [`Report`](super::Report), with the reason.
#[must_use]
pub struct Harness {
    pub(super) store: DynStore,
    pub(super) twin: Option<DynStore>,
    pub(super) clock: Clock,
    pub(super) unit: Duration,
    pub(super) late: Duration,
    pub(super) rounds: u32,
    pub(super) patience: Duration,
    pub(super) expected: Vec<Operation>,
    pub(super) holds: usize,
    pub(super) refuses: Option<usize>,
    pub(super) damage: Option<Hook<SessionId>>,
    pub(super) outage: Option<Hook<bool>>,
    pub(super) lose_answers: Option<Hook<Option<u32>, bool>>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

/// A manual clock for a harness. It starts at the present second, so that a part of the backend that has its own clock
/// does not find everything expired.
#[must_use]
pub fn manual_clock() -> Clock {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clock::manual(UNIX_EPOCH + Duration::from_secs(now.as_secs()))
}

impl Harness {
    /// A store that is fresh and empty, and the clock that it reads.
    ///
    /// With a manual clock (see [`manual_clock`]) no check waits. For a backend that has its own clock, pass
    /// [`Clock::system`]: the kit then really waits, some [`unit`](Self::unit)s of time in each check of expiry. If the
    /// store does not read the clock that the harness has, the check `g4_the_store_reads_the_harness_clock` says so.
    pub fn new(store: impl SessionStore, clock: Clock) -> Self {
        Self {
            store: DynStore::new(store),
            twin: None,
            clock,
            unit: Duration::from_secs(1),
            late: Duration::ZERO,
            rounds: 100,
            patience: Duration::from_secs(30),
            expected: Vec::new(),
            holds: 100_000,
            refuses: None,
            damage: None,
            outage: None,
            lose_answers: None,
            kept: Vec::new(),
        }
    }

    /// A second handle on the same backend: another store over the same directory, a second client of the same server.
    /// Every interleaving is then run between the two as well.
    pub fn twin(mut self, twin: impl SessionStore) -> Self {
        self.twin = Some(DynStore::new(twin));
        self
    }

    /// Which of [`Operation::OPTIONAL`] this store has: if one of them answers `Unsupported`, the check fails. Without
    /// this, it is skipped, and the report says so. What a store has beyond that is checked all the same.
    pub fn expects(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.expected.extend(operations);
        self
    }

    /// As [`expects`](Self::expects), with all of [`Operation::OPTIONAL`].
    pub fn expects_all(self) -> Self {
        self.expects(Operation::OPTIONAL.iter().copied())
    }

    /// The shortest time that the kit lets something live. One second by default; shorter for a backend with a clock
    /// of its own that is finer.
    pub fn unit(mut self, unit: Duration) -> Self {
        self.unit = unit;
        self
    }

    /// How much later than asked something may expire, and be said to expire: one second for a store that rounds up to
    /// whole seconds. Zero by default. Nothing may ever expire early, so a store must not round down.
    pub fn late_by(mut self, late: Duration) -> Self {
        self.late = late;
        self
    }

    /// How often each interleaving is tried. 100 by default.
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// How long one call may take before the kit says that it hangs. 30 seconds by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The largest record that the store must hold, in bytes of its entries. 100,000 by default.
    pub fn holds(mut self, bytes: usize) -> Self {
        self.holds = bytes;
        self
    }

    /// A record with this many bytes of entries must be refused as `TooLarge`. Without it, refusals are not checked.
    pub fn refuses(mut self, bytes: usize) -> Self {
        self.refuses = Some(bytes);
        self
    }

    /// How to damage what is stored under an id, so that it is no record any more: other bytes in its file, say.
    pub fn damage<F>(mut self, damage: impl Fn(SessionId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.damage = Some(Box::new(move |id| Box::pin(damage(id))));
        self
    }

    /// How to take the backend away (`true`) and to give it back (`false`), with what it holds. Other checks may run
    /// beside this one: only this harness's store may feel it.
    pub fn outage<F>(mut self, outage: impl Fn(bool) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.outage = Some(Box::new(move |down| Box::pin(outage(down))));
        self
    }

    /// How to lose an answer of the backend: the request is carried out, and the store never learns of it.
    ///
    /// The kit calls the hook with `Some(n)` before a call of the store. From then on the hook counts the requests to
    /// the backend and loses the answer to the n-th of them, once: `Some(1)` means the next request. A proxy between
    /// store and backend can pass the request on, wait for the answer and cut the connection. With `None` it stops
    /// counting. The hook returns whether an answer was lost since it was called last.
    ///
    /// The kit begins with the first request and goes on until a call has fewer than `n`, so each step of a write is
    /// lost in turn. Other checks may run beside this one: only this harness's store may feel it. A store in this
    /// process, which has no answers to lose, does not need the hook. Under a
    /// [`FaultStore`](super::fault::FaultStore) it shows that a wrapper passes `OutcomeUnknown` on:
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use session_layer::{MemoryStore, conformance::{self, Harness, fault::FaultStore}};
    ///
    /// let clock = conformance::manual_clock();
    /// let store = FaultStore::new(MemoryStore::with_clock(clock.clone()));
    /// let backend = store.clone();
    /// let harness = Harness::new(store, clock).lose_answers(move |nth| {
    ///     let lost = backend.lose_answer(nth);
    ///     async move { lost }
    /// });
    /// # }
    /// ```
    pub fn lose_answers<F>(mut self, lose: impl Fn(Option<u32>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.lose_answers = Some(Box::new(move |nth| Box::pin(lose(nth))));
        self
    }

    /// Keeps something until the check is over: a temporary directory, a server.
    pub fn keep(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// Puts a wrapper around the store, and around its twin: a sealed, a cached or a counting one must pass as the
    /// store below it does.
    pub fn wrap<S: SessionStore>(mut self, wrap: impl Fn(DynStore) -> S) -> Self {
        self.store = DynStore::new(wrap(self.store));
        self.twin = self.twin.map(|twin| DynStore::new(wrap(twin)));
        self
    }

    /// The store under test: for a harness that is used by hand.
    #[must_use]
    pub fn store(&self) -> &DynStore {
        &self.store
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .field("twin", &self.twin)
            .field("clock", &self.clock)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
