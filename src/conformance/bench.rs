//! The store under test as a check sees it: every answer is judged for the sentence that is being checked.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Failure, Harness, Operation, Skip, race::Way, sample::Sample};
use crate::{
    Create, Cursor, DynStore, Holder, Lock, Metadata, Page, Refresh, Rename, SessionId, SessionStore, StoreError,
    StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version, clock,
    record::{Epoch, Record},
};

/// What a check ends with.
pub(super) type Verdict<T = ()> = Result<T, Stop>;

/// Why a check does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    Broken(Failure),
    Skipped(Skip),
}

/// A harness that is shared by the tasks of one check.
#[derive(Clone)]
pub(super) struct Bench(Arc<Inner>);

struct Inner {
    harness: Harness,
    skipped: Mutex<Vec<Skip>>,
}

impl Bench {
    pub(super) fn new(harness: Harness) -> Self {
        Self(Arc::new(Inner { harness, skipped: Mutex::default() }))
    }

    pub(super) fn skipped(&self) -> Vec<Skip> {
        self.0.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on, what the store answers is judged for this sentence.
    pub(super) fn about(&self, sentence: &'static str) -> Probe {
        Probe { store: self.0.harness.store.clone(), bench: self.clone(), sentence }
    }
}

/// The store, asked for the sake of one sentence.
#[derive(Clone)]
pub(super) struct Probe {
    bench: Bench,
    store: DynStore,
    sentence: &'static str,
}

/// One method of the contract: bounded in time, its errors judged.
macro_rules! asks {
    ($($operation:ident $method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(pub(super) async fn $method(&self, $($argument: $type),*) -> Verdict<$output> {
            let answer = self.in_time(Operation::$operation, self.store.$method($($argument),*)).await?;
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
        Rename rename(from: &SessionId, expected: &Version, to: &SessionId, record: &Arc<Record>, usage: Usage) -> Rename;
        Refresh refresh(id: &SessionId, held: &Stored) -> Refresh;
        OwnerEpoch owner_epoch(owner: &str) -> Option<Epoch>;
        EnsureEpoch ensure_epoch(owner: &str, usage: Usage) -> Epoch;
        RenewEpoch renew_epoch(owner: &str, usage: Usage) -> ();
        Metadata metadata(id: &SessionId) -> Option<Metadata>;
        Ids ids(from: Cursor, limit: usize) -> Page;
        Count count() -> u64;
        Clear clear() -> u64;
        Sweep sweep() -> Swept;
        DeleteIdle delete_idle(unused_for: Duration) -> Swept;
        ListOwner list_owner(owner: &str) -> Vec<(SessionId, Stored)>;
        Lock lock(id: &SessionId, holder: Holder, time: Duration) -> Lock;
        Unlock unlock(id: &SessionId, holder: Holder) -> bool;
        Flush flush() -> ();
        Close close() -> ();
    }

    /// Waits as [`SessionStore::unlocked`] does.
    pub(super) async fn unlocked(&self, id: &SessionId, at_most: Duration) -> Verdict {
        self.in_time(Operation::Unlocked, self.store.unlocked(id, at_most)).await
    }

    /// Ends with "it hangs" if the call takes longer than the harness has patience.
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
        &self.bench.0.harness
    }

    /// The store itself, for calls whose errors are expected.
    pub(super) fn store(&self) -> &DynStore {
        &self.store
    }

    /// The same sentence, asked through the twin in every other round if the harness has one.
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

    /// The present time of the store's clock.
    pub(super) fn now(&self) -> SystemTime {
        self.harness().clock.now()
    }

    /// So many of the harness's units of time.
    pub(super) fn units(&self, units: u32) -> Duration {
        self.harness().unit.saturating_mul(units)
    }

    /// A use now that keeps something for so many units.
    pub(super) fn keep(&self, units: u32) -> Usage {
        Usage::keep_for(self.now(), self.units(units))
    }

    /// Whether time passes only when it is told to.
    pub(super) fn exact(&self) -> bool {
        self.harness().clock.is_manual()
    }

    /// Lets time pass until this instant.
    pub(super) async fn until(&self, instant: SystemTime) {
        let Ok(left) = instant.duration_since(self.now()) else { return };
        let clock = &self.harness().clock;
        if clock.is_manual() {
            clock.advance(left);
        } else {
            tokio::time::sleep(left).await;
        }
    }

    /// Lets time pass until something is expired that expires then, also in a store that counts whole seconds.
    pub(super) async fn past(&self, expires_at: SystemTime) {
        self.until(clock::later(expires_at, self.harness().late)).await;
    }

    /// A session that is not stored yet.
    pub(super) fn sample(&self) -> Sample {
        Sample::new(self.now())
    }

    /// A session that was just created.
    pub(super) async fn created(&self) -> Verdict<(Sample, Version)> {
        let sample = self.sample();
        let version = self.create_sample(&sample).await?;
        Ok((sample, version))
    }

    /// Creates a sample, which must not be there yet.
    pub(super) async fn create_sample(&self, sample: &Sample) -> Verdict<Version> {
        match self.create(&sample.id, &sample.record, sample.usage).await? {
            Create::Created(version) => Ok(version),
            Create::Exists => self.broken("`create` of a new session answered Exists"),
        }
    }

    /// Updates a record that must be in this version.
    pub(super) async fn updated(&self, sample: &Sample, record: &Arc<Record>, expected: &Version) -> Verdict<Version> {
        match self.update(&sample.id, record, expected, sample.usage).await? {
            Update::Updated(version) => Ok(version),
            other => self.broken(format!("`update` of a record in the expected version answered {other:?}")),
        }
    }

    /// What is stored, which must be there.
    pub(super) async fn present(&self, id: &SessionId, when: &str) -> Verdict<Stored> {
        match self.load(id).await? {
            Some(stored) => Ok(stored),
            None => self.broken(format!("{when}: `load` answered None, a record was expected")),
        }
    }

    /// Nothing must be stored.
    pub(super) async fn absent(&self, id: &SessionId, when: &str) -> Verdict {
        match self.load(id).await? {
            None => Ok(()),
            Some(stored) => self.broken(format!("{when}: `load` answered a record of kind {:?}", stored.record.kind())),
        }
    }

    /// This record must be stored, in this version.
    pub(super) async fn unchanged(&self, id: &SessionId, record: &Record, version: &Version, when: &str) -> Verdict {
        let stored = self.present(id, when).await?;
        self.same_record(record, &stored.record, when)?;
        self.equal(*version, stored.version, format_args!("{when}: the loaded version"))
    }

    /// The two must be equal.
    pub(super) fn equal<T: PartialEq + fmt::Debug>(
        &self,
        expected: T,
        answered: T,
        what: impl fmt::Display,
    ) -> Verdict {
        if expected == answered {
            return Ok(());
        }
        self.broken(format!("{what}: expected {expected:?}, the store answered {answered:?}"))
    }

    /// The two records must be equal, byte for byte.
    pub(super) fn same_record(&self, expected: &Record, answered: &Record, when: &str) -> Verdict {
        if expected == answered {
            return Ok(());
        }
        let difference = if expected.kind() != answered.kind() {
            format!("the kind is {:?} and not {:?}", answered.kind(), expected.kind())
        } else if expected.entries() != answered.entries() {
            let (now, before) = (answered.entries(), expected.entries());
            format!(
                "the entries differ: {} with {} bytes and not {} with {} bytes",
                now.len(),
                now.as_bytes().len(),
                before.len(),
                before.as_bytes().len()
            )
        } else if expected.owner() != answered.owner() {
            "the owner differs".to_owned()
        } else if expected.check() != answered.check() {
            "the check differs".to_owned()
        } else {
            format!("{answered:?} and not {expected:?}")
        };
        self.broken(format!("{when}: the store answered another record: {difference}"))
    }

    /// The expiry must be this one; a store that counts whole seconds may be late.
    pub(super) fn expires(&self, expected: SystemTime, answered: SystemTime, when: &str) -> Verdict {
        let latest = clock::later(expected, self.harness().late);
        if (expected..=latest).contains(&answered) {
            return Ok(());
        }
        let (by, which) = match answered.duration_since(expected) {
            Ok(by) => (by, "later"),
            Err(error) => (error.duration(), "earlier"),
        };
        self.broken(format!("{when}: the answered `expires_at` is {by:?} {which} than it must be"))
    }

    /// The expiry must be what it was. A store that counts whole seconds may tell it from what is left of them.
    pub(super) fn same_expiry(&self, before: &Stored, after: &Stored, when: &str) -> Verdict {
        let (before, after) = (before.expires_at, after.expires_at);
        let by = after.duration_since(before).unwrap_or_else(|error| error.duration());
        self.holds(
            by <= self.harness().late,
            format_args!("{when}: `expires_at` has moved by {by:?}, though nobody moved it"),
        )
    }

    /// What must hold.
    pub(super) fn holds(&self, holds: bool, what: impl fmt::Display) -> Verdict {
        if holds { Ok(()) } else { self.broken(what.to_string()) }
    }

    /// The sentence is broken.
    pub(super) fn broken<T>(&self, what: impl Into<String>) -> Verdict<T> {
        Err(Stop::Broken(Failure { check: "", sentence: self.sentence, what: what.into() }))
    }

    /// The rest of the check can't be done.
    pub(super) fn skip<T>(&self, why: impl Into<String>) -> Verdict<T> {
        Err(Stop::Skipped(Skip { check: "", sentence: self.sentence, why: why.into() }))
    }

    /// A part that the store or the harness may lack: where it does, that is noted and the check goes on.
    pub(super) fn optional<T>(&self, part: Verdict<T>) -> Verdict<Option<T>> {
        match part {
            Ok(done) => Ok(Some(done)),
            Err(Stop::Broken(failure)) => Err(Stop::Broken(failure)),
            Err(Stop::Skipped(skip)) => {
                let mut skipped = self.bench.0.skipped.lock().unwrap_or_else(PoisonError::into_inner);
                if !skipped.contains(&skip) {
                    skipped.push(skip);
                }
                Ok(None)
            }
        }
    }

    /// Damages what is stored under the id.
    pub(super) async fn damage(&self, id: &SessionId) -> Verdict {
        let Some(damage) = &self.harness().damage else {
            return self.skip("the harness has no way to damage a record");
        };
        damage(*id).await;
        Ok(())
    }

    /// Takes the backend away, or gives it back.
    pub(super) async fn outage(&self, down: bool) -> Verdict {
        let Some(outage) = &self.harness().outage else {
            return self.skip("the harness has no way to take the backend away");
        };
        outage(down).await;
        Ok(())
    }
}

/// An error with its causes, in one line.
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
