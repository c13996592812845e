//! Faults: what goes wrong, and at which calls.

use std::{fmt, sync::Arc, time::Duration};

use super::gate::{Gate, Posts};
use crate::{
    conformance::Operation,
    id::{SessionId, TokenCheck},
    store::{StoreErrorKind, Stored},
};

/// Something that goes wrong in a [`FaultStore`](super::FaultStore). It affects every call, unless selectors such as
/// [`on`](Self::on) or [`nth`](Self::nth) narrow it down.
///
/// ```
/// use std::time::Duration;
/// use session_layer::conformance::{Operation, fault::Fault};
///
/// let third_write_is_lost = Fault::unavailable().on(Operation::Update).on(Operation::Create).nth(3);
/// let done_but_never_answered = Fault::hanging().on(Operation::Remove).afterwards();
/// let slow = Fault::slow(Duration::from_secs(2)).first(10);
/// ```
#[derive(Clone)]
#[must_use = "a fault does nothing until it is injected into a store"]
pub struct Fault {
    effect: Effect,
    step: Step,
    operations: Vec<Operation>,
    /// Whether the constructor chose the operations, and not the caller.
    preset: bool,
    session: Option<SessionId>,
    /// The first and the last call that it affects, counted from 1 among the calls that match the other selectors.
    calls: (u64, u64),
}

/// The point of a call at which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before the wrapped store is called: nothing is done yet.
    Before,
    /// After the wrapped store has answered, before the caller receives the answer.
    After,
}

#[derive(Clone)]
pub(super) enum Effect {
    Error(StoreErrorKind),
    Slow(Duration),
    Hang,
    Pause(Arc<Posts>),
    Alter(Alter),
}

pub(super) type Alter = Arc<dyn Fn(Stored) -> Option<Stored> + Send + Sync>;

impl Fault {
    fn new(effect: Effect, step: Step) -> Self {
        Self { effect, step, operations: Vec::new(), preset: true, session: None, calls: (1, u64::MAX) }
    }

    /// The call fails with `Unavailable`, and nothing is done.
    pub fn unavailable() -> Self {
        Self::error(StoreErrorKind::Unavailable)
    }

    /// The call fails with an error of this kind, and nothing is done.
    pub fn error(kind: StoreErrorKind) -> Self {
        Self::new(Effect::Error(kind), Step::Before)
    }

    /// The call is carried out and fails with `OutcomeUnknown`. For the same error without the effect, use
    /// `Fault::error(StoreErrorKind::OutcomeUnknown)`.
    pub fn outcome_unknown() -> Self {
        Self::error(StoreErrorKind::OutcomeUnknown).afterwards()
    }

    /// The stored bytes are no record: `load` and `refresh` fail with `Corrupt`, and everything else works.
    pub fn corrupt() -> Self {
        let mut fault = Self::error(StoreErrorKind::Corrupt);
        fault.operations = vec![Operation::Load, Operation::Refresh];
        fault
    }

    /// The call takes this much longer, by tokio's time.
    pub fn slow(by: Duration) -> Self {
        Self::new(Effect::Slow(by), Step::Before)
    }

    /// The call never returns.
    pub fn hanging() -> Self {
        Self::new(Effect::Hang, Step::Before)
    }

    /// The call stops until the gate is released.
    pub fn pause() -> (Self, Gate) {
        let (gate, posts) = Gate::new();
        (Self::new(Effect::Pause(posts), Step::Before), gate)
    }

    /// Records are returned as expired: their `expires_at` is their last use.
    pub fn expired() -> Self {
        Self::alter(|mut stored| {
            stored.expires_at = stored.used_at;
            Some(stored)
        })
    }

    /// Records are returned with the check of another token.
    pub fn another_check() -> Self {
        Self::alter(|mut stored| {
            let check = stored.record.check().to_bytes().map(|byte| !byte);
            stored.record = Arc::new((*stored.record).clone().with_check(TokenCheck::from_bytes(check)));
            Some(stored)
        })
    }

    /// Changes the records that `load`, `refresh` and `list_owner` return, or (`None`) hides them.
    ///
    /// ```
    /// use std::{sync::Arc, time::UNIX_EPOCH};
    /// use session_layer::conformance::fault::Fault;
    ///
    /// let past_its_absolute_limit = Fault::alter(|mut stored| {
    ///     stored.record = Arc::new((*stored.record).clone().with_created_at(UNIX_EPOCH));
    ///     Some(stored)
    /// });
    /// ```
    pub fn alter(alter: impl Fn(Stored) -> Option<Stored> + Send + Sync + 'static) -> Self {
        let mut fault = Self::new(Effect::Alter(Arc::new(alter)), Step::After);
        fault.operations = vec![Operation::Load, Operation::Refresh, Operation::ListOwner];
        fault
    }

    /// Affects only calls of this method. If given several times, affects calls of each of the methods.
    pub fn on(mut self, operation: Operation) -> Self {
        if std::mem::take(&mut self.preset) {
            self.operations.clear();
        }
        self.operations.push(operation);
        self
    }

    /// Affects only calls that concern this session.
    pub fn session(mut self, id: &SessionId) -> Self {
        self.session = Some(*id);
        self
    }

    /// Affects only the n-th call from now on, counted from 1 among the calls that match the other selectors.
    pub fn nth(mut self, n: u64) -> Self {
        self.calls = (n, n);
        self
    }

    /// Affects only the first `n` calls from now on, of those that match the other selectors.
    pub fn first(mut self, n: u64) -> Self {
        self.calls = (1, n);
        self
    }

    /// Affects every call but the first `n` from now on, of those that match the other selectors.
    pub fn after_first(mut self, n: u64) -> Self {
        self.calls = (n.saturating_add(1), u64::MAX);
        self
    }

    /// Strikes after the wrapped store has carried out the call: the answer is lost instead of the request.
    pub fn afterwards(self) -> Self {
        self.at(Step::After)
    }

    /// Sets the step at which the fault strikes. A fault that alters records always strikes after the call.
    pub fn at(mut self, step: Step) -> Self {
        if !matches!(self.effect, Effect::Alter(_)) {
            self.step = step;
        }
        self
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match &self.effect {
            Effect::Error(kind) => format!("error {kind:?}"),
            Effect::Slow(by) => format!("slow by {by:?}"),
            Effect::Hang => "hangs".to_owned(),
            Effect::Pause(_) => "pauses".to_owned(),
            Effect::Alter(_) => "alters records".to_owned(),
        };
        f.debug_struct("Fault")
            .field("effect", &effect)
            .field("step", &self.step)
            .field("operations", &self.operations)
            .field("session", &self.session)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// An injected fault, with the number of calls that it has matched.
#[derive(Debug)]
pub(super) struct Injected {
    fault: Fault,
    matched: u64,
}

impl Injected {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, matched: 0 }
    }

    /// The number of calls that it has matched.
    pub(super) fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether the fault is about such a call, even if it does not affect this one. A rename concerns both its ids.
    pub(super) fn concerns(&self, operation: Operation, ids: &[&SessionId]) -> bool {
        let Fault { operations, session, .. } = &self.fault;
        (operations.is_empty() || operations.contains(&operation))
            && session.is_none_or(|session| ids.contains(&&session))
    }

    /// Counts the call if it matches, and returns what goes wrong with it.
    pub(super) fn strikes(&mut self, operation: Operation, ids: &[&SessionId]) -> Option<(Step, Effect)> {
        if !self.concerns(operation, ids) {
            return None;
        }
        let Fault { effect, step, calls: (first, last), .. } = &self.fault;
        self.matched += 1;
        (*first..=*last).contains(&self.matched).then(|| (*step, effect.clone()))
    }
}
