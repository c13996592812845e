//! The store as a check sees it: each call is limited in time and made for one sentence.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Harness, Operation, bench::Bench, race::Way, sample::Sample, verdict::Verdict};
use crate::{
    clock,
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Acquire, Create, Cursor, DynStore, End, Holder, Idle, ListedSession, Metadata, Page, Refresh, Rename,
        SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version, require,
    },
};

/// Calls the store on behalf of one sentence.
#[derive(Clone)]
pub(super) struct Probe {
    pub(super) bench: Bench,
    store: DynStore,
    pub(super) sentence: &'static str,
}

impl Bench {
    /// Returns a probe whose calls are judged for this sentence.
    pub(super) fn about(&self, sentence: &'static str) -> Probe {
        Probe { store: self.harness().store.clone(), bench: self.clone(), sentence }
    }
}

/// Generates the methods of the contract, with a time limit and a verdict on errors.
macro_rules! asks {
    ($($operation:ident $method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(pub(super) async fn $method(&self, $($argument: $type),*) -> Verdict<$output> {
            let answer = self.in_time(Operation::$operation, self.store.$method($($argument),*)).await?;
            self.judge(Operation::$operation, answer)
        })*
    };
}

/// Generates the methods of the capabilities. If the store lacks the capability, the rest of the check is skipped.
macro_rules! asks_of_capabilities {
    ($($operation:ident $accessor:ident $method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(pub(super) async fn $method(&self, $($argument: $type),*) -> Verdict<$output> {
            let call = async { require::$accessor(&self.store, stringify!($method))?.$method($($argument),*).await };
            let answer = self.in_time(Operation::$operation, call).await?;
            self.judge(Operation::$operation, answer)
        })*
    };
}

impl Probe {
    asks! {
        Load load(id: &SessionId) -> Option<Stored>;
        Create create(id: &SessionId, record: &Arc<Record>, usage: Usage) -> Create;
        Update update(id: &SessionId, record: &Arc<Record>, expected: &Version, usage: Usage) -> Update;
        Touch touch(id: &SessionId, usage: Usage) -> Touch;
        Remove remove(id: &SessionId) -> bool;
        End end(id: &SessionId, expected: &Version, now: SystemTime) -> End;
        Rename rename(from: &SessionId, expected: &Version, tombstone: &Arc<Record>, to: &SessionId, record: &Arc<Record>, usage: Usage) -> Rename;
        Refresh refresh(id: &SessionId, held: &Stored) -> Refresh;
        OwnerEpoch owner_epoch(owner: &str) -> Option<Epoch>;
        EnsureEpoch ensure_epoch(owner: &str, usage: Usage) -> Epoch;
        RenewEpoch renew_epoch(owner: &str, usage: Usage) -> ();
        Metadata metadata(id: &SessionId) -> Option<Metadata>;
        Flush flush() -> ();
        Close close() -> ();
    }

    asks_of_capabilities! {
        Ids listing ids(from: Cursor, limit: usize) -> Page;
        Count listing count() -> u64;
        Sweep listing sweep() -> Swept;
        DeleteIdle listing delete_idle(idle: Idle) -> Swept;
        Clear clearing clear() -> u64;
        ListOwner owners list_owner(owner: &str) -> Vec<ListedSession>;
        Acquire leases acquire(id: &SessionId, holder: Holder, time: Duration) -> Acquire;
        Release leases release(id: &SessionId, holder: Holder) -> bool;
    }

    /// Returns what `try_load` answers, or `None` if it doesn't.
    pub(super) fn try_load(&self, id: &SessionId) -> Verdict<Option<Option<Stored>>> {
        self.store.try_load(id).map(|answer| self.judge_at_once("try_load", answer)).transpose()
    }

    /// Returns what `try_create` answers, or `None` if it doesn't.
    pub(super) fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Verdict<Option<Create>> {
        let answer = self.store.try_create(id, record, usage);
        answer.map(|answer| self.judge_at_once("try_create", answer)).transpose()
    }

    /// Returns what `try_update` answers, or `None` if it doesn't.
    pub(super) fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Verdict<Option<Update>> {
        let answer = self.store.try_update(id, record, expected, usage);
        answer.map(|answer| self.judge_at_once("try_update", answer)).transpose()
    }

    fn judge_at_once<T>(&self, method: &str, answer: Result<T, StoreError>) -> Verdict<T> {
        answer.or_else(|error| self.broken(format!("`{method}` failed: {}", chain(&error))))
    }

    /// Calls [`Leases::released`](crate::store::Leases::released).
    pub(super) async fn released(&self, id: &SessionId, at_most: Duration) -> Verdict {
        let leases = require::leases(&self.store, "released");
        let leases = self.judge(Operation::Released, leases)?;
        self.in_time(Operation::Released, leases.released(id, at_most)).await
    }

    /// Fails the check if the call takes longer than the harness's patience.
    pub(super) async fn in_time<T>(&self, operation: Operation, call: impl Future<Output = T>) -> Verdict<T> {
        let patience = self.harness().patience;
        match tokio::time::timeout(patience, call).await {
            Ok(answer) => Ok(answer),
            Err(_) => self.broken(format!("`{operation}` has not answered within {patience:?}")),
        }
    }

    fn judge<T>(&self, operation: Operation, answer: Result<T, StoreError>) -> Verdict<T> {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let optional = Operation::OPTIONAL.contains(&operation);
        if error.kind() == StoreErrorKind::Unsupported && optional && !self.harness().expected.contains(&operation) {
            return self.skip(format!("the store has no `{operation}`"));
        }
        self.broken(format!("`{operation}` failed: {}", chain(&error)))
    }

    pub(super) fn harness(&self) -> &Harness {
        self.bench.harness()
    }

    /// The store itself, for calls that are expected to fail.
    pub(super) fn store(&self) -> &DynStore {
        &self.store
    }

    /// Returns a probe for the same sentence. If the harness has a twin, the probe uses it whenever one call is held
    /// back, and in every other pair of rounds on threads.
    pub(super) fn other(&self, way: Way) -> Self {
        let through_twin = match way {
            Way::Threads(round) => round / 2 % 2 == 1,
            Way::FirstHeld(_) | Way::SecondHeld(_) => true,
        };
        let store = self.harness().twin.clone().filter(|_| through_twin).unwrap_or_else(|| self.store.clone());
        Self { store, ..self.clone() }
    }

    /// Every way in which two calls can meet.
    pub(super) fn ways(&self) -> impl Iterator<Item = Way> + use<> {
        Way::all(self.harness().rounds)
    }

    /// The current time of the store's clock.
    pub(super) fn now(&self) -> SystemTime {
        self.harness().clock.now()
    }

    /// This many of the harness's units of time.
    pub(super) fn units(&self, units: u32) -> Duration {
        // A longer duration can't be added to the current time.
        self.harness().unit.saturating_mul(units).min(Duration::from_millis(clock::LAST_MILLIS))
    }

    /// A use at the current time that keeps a session for this many units.
    pub(super) fn keep(&self, units: u32) -> Usage {
        Usage::keep_for(self.now(), self.units(units))
    }

    /// Whether the clock is manual.
    pub(super) fn exact(&self) -> bool {
        self.harness().clock.is_manual()
    }

    /// Lets time pass until this instant: moves a manual clock, or sleeps.
    pub(super) async fn until(&self, instant: SystemTime) {
        let Ok(left) = instant.duration_since(self.now()) else { return };
        let clock = &self.harness().clock;
        if clock.is_manual() {
            clock.advance(left);
        } else {
            tokio::time::sleep(left).await;
        }
    }

    /// Lets time pass until something with this expiry has expired, even in a store that counts whole seconds.
    pub(super) async fn past(&self, expires_at: SystemTime) {
        self.until(clock::later(expires_at, self.harness().late)).await;
    }

    /// A session that isn't stored yet.
    pub(super) fn sample(&self) -> Sample {
        Sample::new(self.now())
    }

    /// Creates a session.
    pub(super) async fn created(&self) -> Verdict<(Sample, Version)> {
        let sample = self.sample();
        let version = self.create_sample(&sample).await?;
        Ok((sample, version))
    }

    /// Creates a sample, which must not exist yet.
    pub(super) async fn create_sample(&self, sample: &Sample) -> Verdict<Version> {
        match self.create(&sample.id, &sample.record, sample.usage).await? {
            Create::Created(version) => Ok(version),
            Create::Exists => self.broken("`create` of a new session answered Exists"),
        }
    }

    /// Updates a record, which must be in this version.
    pub(super) async fn updated(&self, sample: &Sample, record: &Arc<Record>, expected: &Version) -> Verdict<Version> {
        match self.update(&sample.id, record, expected, sample.usage).await? {
            Update::Updated(version) => Ok(version),
            other => self.broken(format!("`update` of a record in the expected version answered {other:?}")),
        }
    }

    /// Damages the bytes that are stored under the id.
    pub(super) async fn damage(&self, id: &SessionId) -> Verdict {
        let Some(damage) = &self.harness().damage else {
            return self.skip("the harness has no way to damage a record; see `Harness::damage`");
        };
        damage(*id).await;
        Ok(())
    }

    /// Makes the backend unavailable, or available again.
    pub(super) async fn outage(&self, down: bool) -> Verdict {
        let Some(outage) = &self.harness().outage else {
            return self.skip("the harness has no way to take the backend away; see `Harness::outage`");
        };
        outage(down).await;
        Ok(())
    }

    /// Loses the answer to the n-th request from now on; `None` stops this. Returns whether an answer was lost since
    /// the last call.
    pub(super) async fn lose_answer(&self, nth: Option<u32>) -> Verdict<bool> {
        let Some(lose) = &self.harness().lose_answers else {
            return self.skip("the harness has no way to lose an answer of the backend; see `Harness::lose_answers`");
        };
        Ok(lose(nth).await)
    }
}

/// Formats an error and its causes in one line.
pub(super) fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
