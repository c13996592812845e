//! A store that fails on purpose.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{
    Call, CallOutcome, Fault, Gate, Step,
    plan::{Alter, Effect, Injected},
};
use crate::{
    conformance::Operation,
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Acquire, Clearing, Create, Cursor, End, Holder, Idle, Leases, ListedSession, Listing, Metadata, Owners, Page,
        Refresh, Rename, SessionStore, StoreError, Stored, Swept, Touch, Tracked, Update, Usage, Version,
        own_capabilities, require,
    },
};

/// Wraps a store. Without faults it only forwards each call and logs it.
///
/// Clones share the store, the faults and the log, so one clone goes into the layer and another stays with the test.
/// Each method of the contract is forwarded as one call, also if the inner store uses the provided implementation of
/// it, such as `rename`. To see its steps, use [`Bare`](super::Bare).
///
/// A call that the inner store answers at once ([`try_load`](SessionStore::try_load)) is logged as one of the awaited
/// method. If a fault may concern it, it is not answered at once, and the fault strikes the awaited call.
#[derive(Debug, Clone)]
pub struct FaultStore<S> {
    inner: S,
    state: Arc<Mutex<State>>,
    /// The name and `in_memory` to answer instead of the inner store's.
    pose: Option<(&'static str, bool)>,
    /// The `overwrites` to answer instead of the inner store's.
    overwrites: Option<bool>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Injected>,
    /// The fault that loses an answer, and the number of the call whose answer is lost.
    losing: Option<(u64, Injected)>,
    log: Vec<Call>,
    /// How often the log was emptied. A call that began before the last time doesn't write into the new log.
    emptied: u64,
}

impl<S> FaultStore<S> {
    /// Wraps a store, without faults.
    pub fn new(inner: S) -> Self {
        Self { inner, state: Arc::default(), pose: None, overwrites: None }
    }

    /// Answers this name and this [`in_memory`](SessionStore::in_memory) instead of the inner store's. A cache steps
    /// aside for a store in memory. Also claims to track every version, of which only
    /// [`Version::from_u64(1)`](Version::from_u64) of `SessionId::for_epoch(name)` is current.
    #[must_use]
    pub fn posing_as(mut self, name: &'static str, in_memory: bool) -> Self {
        self.pose = Some((name, in_memory));
        self
    }

    /// Answers this [`overwrites`](SessionStore::overwrites) instead of the inner store's. Its updates stay as they
    /// are.
    #[must_use]
    pub fn posing_as_overwriting(mut self, overwrites: bool) -> Self {
        self.overwrites = Some(overwrites);
        self
    }

    /// The wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Adds a fault and begins to count its calls. If several faults strike one call, they apply in the order in which
    /// they were added, until one fails it.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(Injected::new(fault));
    }

    /// Loses the answer to the n-th call from now on, once: the inner store carries the call out, and the caller gets
    /// `OutcomeUnknown`. `None` stops this. Returns whether an answer was lost since the last call of this method.
    ///
    /// [`Harness::lose_answers`](crate::conformance::Harness::lose_answers) needs this.
    pub fn lose_answer(&self, nth: Option<u32>) -> bool {
        let losing = nth.map(|nth| (u64::from(nth), Injected::new(Fault::outcome_unknown().nth(nth.into()))));
        let before = std::mem::replace(&mut self.state().losing, losing);
        before.is_some_and(|(nth, injected)| injected.matched() >= nth)
    }

    /// Removes all faults. Calls that already hang or wait continue to do so.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Stops the next call of this method at this step, until the gate is released. [`Fault::pause`] offers more
    /// choice.
    pub fn pause(&self, operation: Operation, step: Step) -> Gate {
        let (fault, gate) = Fault::pause();
        self.inject(fault.on(operation).at(step).first(1));
        gate
    }

    /// Returns every call since the log was emptied, in the order in which they began.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.state().log.clone()
    }

    /// The number of calls of this method since the log was emptied.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> usize {
        self.state().log.iter().filter(|call| call.operation == operation).count()
    }

    /// The number of calls since the log was emptied.
    #[must_use]
    pub fn total(&self) -> usize {
        self.state().log.len()
    }

    /// Empties the log.
    pub fn forget(&self) {
        let mut state = self.state();
        state.log.clear();
        state.emptied += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs the call and collects the faults that strike it.
    fn enter(&self, operation: Operation, ids: &[&SessionId]) -> Entered {
        let mut state = self.state();
        let State { faults, losing, .. } = &mut *state;
        let faults = faults.iter_mut().chain(losing.as_mut().map(|(_, lost)| lost));
        let strikes = faults.filter_map(|fault| fault.strikes(operation, ids)).collect();
        state.log.push(Call { operation, id: ids.first().map(|id| **id), outcome: CallOutcome::Pending });
        let (index, emptied) = (state.log.len() - 1, state.emptied);
        Entered { state: Arc::clone(&self.state), index, emptied, operation, id: ids.first().map(|id| **id), strikes }
    }

    async fn ask<T>(
        &self,
        operation: Operation,
        ids: &[&SessionId],
        answer: impl Future<Output = Result<T, StoreError>>,
        alter: impl FnOnce(T, &[Alter]) -> T,
    ) -> Result<T, StoreError> {
        // Logged and counted at the first poll: a future does nothing before.
        let entered = self.enter(operation, ids);
        let answer: Result<T, StoreError> = async {
            entered.strike(Step::Before).await?;
            let answer = answer.await?;
            entered.strike(Step::After).await?;
            Ok(alter(answer, &entered.alters()))
        }
        .await;
        entered
            .ended(answer.as_ref().map_or_else(|error| CallOutcome::Failed(error.kind()), |_| CallOutcome::Answered));
        answer
    }

    /// Forwards a call that may be answered at once, unless a fault may concern it.
    fn ask_at_once<T>(
        &self,
        operation: Operation,
        id: &SessionId,
        answer: impl FnOnce() -> Option<Result<T, StoreError>>,
    ) -> Option<Result<T, StoreError>> {
        let is_concerned = {
            let State { faults, losing, .. } = &*self.state();
            faults.iter().chain(losing.as_ref().map(|(_, lost)| lost)).any(|fault| fault.concerns(operation, &[id]))
        };
        if is_concerned {
            return None;
        }
        let answer = answer()?;
        // Logged only now, since a call that is not answered is no call.
        let outcome = answer.as_ref().map_or_else(|error| CallOutcome::Failed(error.kind()), |_| CallOutcome::Answered);
        self.state().log.push(Call { operation, id: Some(*id), outcome });
        Some(answer)
    }
}

/// A call under way.
struct Entered {
    state: Arc<Mutex<State>>,
    index: usize,
    emptied: u64,
    operation: Operation,
    id: Option<SessionId>,
    strikes: Vec<(Step, Effect)>,
}

impl Entered {
    async fn strike(&self, at: Step) -> Result<(), StoreError> {
        for (_, effect) in self.strikes.iter().filter(|(step, _)| *step == at) {
            match effect {
                Effect::Error(kind) => {
                    let error = StoreError::new(*kind).during(self.operation.name()).because("a fault was injected");
                    return Err(match &self.id {
                        Some(id) => error.on(id),
                        None => error,
                    });
                }
                Effect::Slow(by) => tokio::time::sleep(*by).await,
                Effect::Hang => pending().await,
                Effect::Pause(posts) => posts.pass().await,
                Effect::Alter(_) => {}
            }
        }
        Ok(())
    }

    fn alters(&self) -> Vec<Alter> {
        let alter = |(_, effect): &(Step, Effect)| match effect {
            Effect::Alter(alter) => Some(Arc::clone(alter)),
            _ => None,
        };
        self.strikes.iter().filter_map(alter).collect()
    }

    fn ended(&self, outcome: CallOutcome) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.emptied == self.emptied
            && let Some(call) = state.log.get_mut(self.index)
            && call.outcome == CallOutcome::Pending
        {
            call.outcome = outcome;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.ended(CallOutcome::Dropped);
    }
}

fn altered(stored: Stored, alters: &[Alter]) -> Option<Stored> {
    alters.iter().try_fold(stored, |stored, alter| alter(stored))
}

/// Forwards the methods whose answers contain no record.
macro_rules! forward {
    ($($operation:ident $method:ident[$($id:ident),*]($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(async fn $method(&self, $($argument: $type),*) -> Result<$output, StoreError> {
            self.ask(Operation::$operation, &[$($id),*], self.inner.$method($($argument),*), |answer, _| answer).await
        })*
    };
}

impl<S: SessionStore> SessionStore for FaultStore<S> {
    forward! {
        Create create[id](id: &SessionId, record: &Arc<Record>, usage: Usage) -> Create;
        Update update[id](id: &SessionId, record: &Arc<Record>, expected: &Version, usage: Usage) -> Update;
        Touch touch[id](id: &SessionId, usage: Usage) -> Touch;
        Remove remove[id](id: &SessionId) -> bool;
        End end[id](id: &SessionId, expected: &Version, now: SystemTime) -> End;
        Rename rename[from, to](from: &SessionId, expected: &Version, tombstone: &Arc<Record>, to: &SessionId, record: &Arc<Record>, usage: Usage) -> Rename;
        OwnerEpoch owner_epoch[](owner: &str) -> Option<Epoch>;
        EnsureEpoch ensure_epoch[](owner: &str, usage: Usage) -> Epoch;
        RenewEpoch renew_epoch[](owner: &str, usage: Usage) -> ();
        Metadata metadata[id](id: &SessionId) -> Option<Metadata>;
        Flush flush[]() -> ();
        Close close[]() -> ();
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let alter = |answer: Option<Stored>, alters: &[Alter]| answer.and_then(|stored| altered(stored, alters));
        self.ask(Operation::Load, &[id], self.inner.load(id), alter).await
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let alter = |answer, alters: &[Alter]| {
            let stored = match answer {
                _ if alters.is_empty() => return answer,
                Refresh::Same { usage, owner_epoch, tracked } => {
                    let stored = Stored::new(Arc::clone(&held.record), held.version, usage);
                    stored.with_owner_epoch(owner_epoch).with_tracked(tracked)
                }
                Refresh::Changed(stored) => stored,
                Refresh::Gone => return answer,
            };
            match altered(stored, alters) {
                None => Refresh::Gone,
                Some(stored) if stored.version == held.version && stored.record == held.record => {
                    Refresh::Same { usage: stored.usage(), owner_epoch: stored.owner_epoch, tracked: stored.tracked }
                }
                Some(stored) => Refresh::Changed(stored),
            }
        };
        self.ask(Operation::Refresh, &[id], self.inner.refresh(id, held), alter).await
    }

    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        match self.pose {
            Some((name, _)) => {
                let is_current = (*id, *version) == (SessionId::for_epoch(name), Version::from_u64(1));
                Some(Tracked::new(move || is_current))
            }
            None => self.inner.tracked(id, version),
        }
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.ask_at_once(Operation::Load, id, || self.inner.try_load(id))
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        self.ask_at_once(Operation::Create, id, || self.inner.try_create(id, record, usage))
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        self.ask_at_once(Operation::Update, id, || self.inner.try_update(id, record, expected, usage))
    }

    fn answers_at_once(&self) -> bool {
        self.inner.answers_at_once()
    }

    fn in_memory(&self) -> bool {
        self.pose.map_or_else(|| self.inner.in_memory(), |(_, in_memory)| in_memory)
    }

    fn overwrites(&self) -> bool {
        self.overwrites.unwrap_or_else(|| self.inner.overwrites())
    }

    fn name(&self) -> &'static str {
        self.pose.map_or_else(|| self.inner.name(), |(name, _)| name)
    }

    own_capabilities!(inner);
}

/// Forwards the methods of a capability.
macro_rules! forward_capability {
    ($capability:ident $accessor:ident {
        $($operation:ident $method:ident[$($id:ident),*]($($argument:ident: $type:ty),*) -> $output:ty;)*
    } $($rest:tt)*) => {
        #[async_trait]
        impl<S: SessionStore> $capability for FaultStore<S> {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$output, StoreError> {
                let call = async { require::$accessor(&self.inner, stringify!($method))?.$method($($argument),*).await };
                self.ask(Operation::$operation, &[$($id),*], call, |answer, _| answer).await
            })*

            $($rest)*
        }
    };
}

forward_capability! {
    Listing listing {
        Ids ids[](from: Cursor, limit: usize) -> Page;
        Count count[]() -> u64;
        Sweep sweep[]() -> Swept;
        DeleteIdle delete_idle[](idle: Idle) -> Swept;
    }
}

forward_capability! {
    Clearing clearing {
        Clear clear[]() -> u64;
    }
}

forward_capability! {
    Leases leases {
        Acquire acquire[id](id: &SessionId, holder: Holder, time: Duration) -> Acquire;
        Release release[id](id: &SessionId, holder: Holder) -> bool;
    }

    /// Faults can only delay this method, since it returns no error.
    async fn released(&self, id: &SessionId, at_most: Duration) {
        let answer = async {
            if let Some(leases) = self.inner.leases() {
                leases.released(id, at_most).await;
            }
            Ok(())
        };
        let _ = self.ask(Operation::Released, &[id], answer, |answer, _| answer).await;
    }
}

#[async_trait]
impl<S: SessionStore> Owners for FaultStore<S> {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let alter = |answer: Vec<ListedSession>, alters: &[Alter]| {
            answer
                .into_iter()
                .filter_map(|owned| match owned.stored {
                    Some(stored) => Some(ListedSession::new(owned.id).with_stored(altered(stored, alters)?)),
                    None => Some(owned),
                })
                .collect()
        };
        let call = async { require::owners(&self.inner, "list_owner")?.list_owner(owner).await };
        self.ask(Operation::ListOwner, &[], call, alter).await
    }
}
