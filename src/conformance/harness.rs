//! What the kit needs to know about a store.

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

/// A hook that takes an argument.
type Hook<A, T = ()> = Box<dyn Fn(A) -> Done<T> + Send + Sync>;

/// A fresh, empty store for the checks: which clock it reads, what it supports, and how to make it fail.
///
/// Only [`new`](Self::new) is required. Each further setting lets the kit check more. What it could not check is listed
/// in the [`Report`](super::Report), with the reason.
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

/// Returns a manual clock for a harness. It starts at the current second, so that a part of the backend that has its
/// own clock doesn't find everything expired.
#[must_use]
pub fn manual_clock() -> Clock {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clock::manual(UNIX_EPOCH + Duration::from_secs(now.as_secs()))
}

impl Harness {
    /// Takes a fresh, empty store and the clock that it reads.
    ///
    /// With a manual clock (see [`manual_clock`]) no check waits. For a backend that has its own clock, pass
    /// [`Clock::system`]: the kit then really waits, for several [`unit`](Self::unit)s in each check of expiry. If the
    /// store doesn't read the harness's clock, the check `g4_the_store_reads_the_harness_clock` fails.
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

    /// Adds a second handle to the same backend, such as another store over the same directory or a second client of
    /// the same server. Every interleaving then also runs between the two handles.
    pub fn twin(mut self, twin: impl SessionStore) -> Self {
        self.twin = Some(DynStore::new(twin));
        self
    }

    /// Declares which of [`Operation::OPTIONAL`] this store has. If one of them answers `Unsupported`, the check fails.
    /// Without this, the check is skipped, and the report says so. Other optional methods that the store has are
    /// checked as well.
    pub fn expects(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.expected.extend(operations);
        self
    }

    /// As [`expects`](Self::expects), for all of [`Operation::OPTIONAL`].
    pub fn expects_all(self) -> Self {
        self.expects(Operation::OPTIONAL.iter().copied())
    }

    /// Sets the shortest time that the kit lets something live. The default is one second. For a backend whose own
    /// clock is finer, it can be shorter.
    pub fn unit(mut self, unit: Duration) -> Self {
        self.unit = unit;
        self
    }

    /// Sets how much later than asked something may expire, and how much later its reported expiry may be. Set one
    /// second for a store that rounds up to whole seconds. The default is zero. Nothing may ever expire early, so a
    /// store must not round down.
    pub fn late_by(mut self, late: Duration) -> Self {
        self.late = late;
        self
    }

    /// Sets how often each interleaving is tried, at least once. The default is 100.
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// Sets how long a call may take before the kit reports that it hangs. The default is 30 seconds.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the size of the largest record that the store must hold, in bytes of its entries. The default is 100,000.
    pub fn holds(mut self, bytes: usize) -> Self {
        self.holds = bytes;
        self
    }

    /// Sets a size, in bytes of entries, that the store must refuse as `TooLarge`. By default, refusals are not
    /// checked.
    pub fn refuses(mut self, bytes: usize) -> Self {
        self.refuses = Some(bytes);
        self
    }

    /// Sets a hook that damages what is stored under an id, so that it is no record any more: by writing other bytes
    /// into its file, for example.
    pub fn damage<F>(mut self, damage: impl Fn(SessionId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.damage = Some(Box::new(move |id| Box::pin(damage(id))));
        self
    }

    /// Sets a hook that makes the backend unavailable (`true`) and available again (`false`), without losing its data.
    /// Other checks may run at the same time, so only this harness's store may be affected.
    pub fn outage<F>(mut self, outage: impl Fn(bool) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.outage = Some(Box::new(move |down| Box::pin(outage(down))));
        self
    }

    /// Sets a hook that loses an answer of the backend: the request is carried out, but the store never receives the
    /// answer.
    ///
    /// The kit calls the hook with `Some(n)` before a call of the store. From then on the hook counts the requests to
    /// the backend and loses the answer to the n-th of them, once: `Some(1)` means the next request. A proxy between
    /// store and backend can pass the request on, wait for the answer and cut the connection. With `None` the hook
    /// stops counting. It returns whether an answer was lost since it was called last.
    ///
    /// The kit starts with the first request and goes on until a call has fewer than `n`, so each step of a write is
    /// lost in turn. Other checks may run at the same time, so only this harness's store may be affected. A store
    /// within this process, which has no answers to lose, doesn't need the hook. With a
    /// [`FaultStore`](super::fault::FaultStore), it tests that a wrapper passes `OutcomeUnknown` on:
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

    /// Keeps a guard until the check is over, such as a temporary directory or a server.
    pub fn keep(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// Puts a wrapper around the store and its twin. A sealed, cached or observed store must pass the same checks as
    /// the store below it.
    pub fn wrap<S: SessionStore>(mut self, wrap: impl Fn(DynStore) -> S) -> Self {
        self.store = DynStore::new(wrap(self.store));
        self.twin = self.twin.map(|twin| DynStore::new(wrap(twin)));
        self
    }

    /// The store under test, for using a harness by hand.
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
