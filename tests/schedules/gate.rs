//! A store whose calls wait until the test lets them continue.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use session_layer::{
    DynStore, SessionId, SessionStore,
    record::{Epoch, Record},
    store::{
        Create, End, ListedSession, Owners, Refresh, Rename, StoreError, StoreErrorKind, Stored, Touch, Update, Usage,
        Version,
    },
};
use tokio::sync::{Notify, oneshot};

/// The fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// Done, with its answer lost.
    Lost,
    /// Not done.
    Refused(StoreErrorKind),
    /// Its answer is lost, and it is done at some later time.
    Late,
}

type Pending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A call that waits at a gate.
pub(crate) struct Ticket {
    pub(crate) label: String,
    /// The call was made, and its answer waits.
    pub(crate) is_made: bool,
    pub(crate) writes: bool,
    /// How likely the call is to continue next; for the test's own use.
    pub(crate) weight: usize,
    go: oneshot::Sender<Fate>,
}

/// A write that was answered as lost, and is carried out when the test says so.
pub(crate) struct LateWrite {
    label: String,
    ids: Vec<SessionId>,
    write: Pending,
}

#[derive(Default)]
struct State {
    /// Calls don't stop.
    is_open: bool,
    /// Calls stop after they were made as well.
    stops_twice: bool,
    waiting: Vec<Ticket>,
    late: Vec<LateWrite>,
    executing: usize,
    /// The ids that were written to since they were last taken.
    touched: Vec<SessionId>,
    epochs_touched: bool,
    names: HashMap<SessionId, usize>,
    trace: Vec<String>,
    /// How often a call was asked for at once.
    asked_at_once: u64,
}

/// The gate for all calls of one schedule.
#[derive(Default)]
pub(crate) struct Gates {
    state: Mutex<State>,
    idle: Notify,
}

/// Counts a call that the store below works on, even if its future is dropped.
struct Executing<'a>(&'a Gates);

impl Drop for Executing<'_> {
    fn drop(&mut self) {
        self.0.state().executing -= 1;
        self.0.idle.notify_one();
    }
}

impl Gates {
    pub(crate) fn new(stops_twice: bool) -> Arc<Self> {
        let gates = Self::default();
        *gates.state() = State { is_open: true, stops_twice, ..State::default() };
        Arc::new(gates)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Sets whether calls stop.
    pub(crate) fn open(&self, is_open: bool) {
        self.state().is_open = is_open;
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        self.state().trace.push(line.into());
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// A short name for an id, by order of appearance.
    pub(crate) fn name(&self, id: &SessionId) -> String {
        let mut state = self.state();
        let next = state.names.len();
        format!("s{}", state.names.entry(*id).or_insert(next))
    }

    fn place(&self, id: &SessionId) -> usize {
        self.state().names.get(id).copied().unwrap_or(usize::MAX)
    }

    /// Lets every task run until it ends or stops at a gate.
    pub(crate) async fn settle(&self) {
        loop {
            // A task that continues wakes another when it ends, and that one may begin a third.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            if self.state().executing == 0 {
                return;
            }
            self.idle.notified().await;
        }
    }

    /// Inspects the waiting calls. Dropped calls are forgotten.
    pub(crate) fn waiting<R>(&self, look: impl FnOnce(&mut [Ticket]) -> R) -> R {
        let mut state = self.state();
        state.waiting.retain(|ticket| !ticket.go.is_closed());
        look(&mut state.waiting)
    }

    /// Lets one call continue.
    pub(crate) fn release(&self, index: usize, fate: Fate) {
        let mut state = self.state();
        let ticket = state.waiting.remove(index);
        let line = match (ticket.is_made, fate) {
            (true, _) => format!("  answered: {}", ticket.label),
            (false, Fate::Done) => format!("  {}", ticket.label),
            (false, fate) => format!("  {} {fate:?}", ticket.label),
        };
        state.trace.push(line);
        // The waiting task may be gone.
        let _ = ticket.go.send(fate);
    }

    pub(crate) fn late(&self) -> usize {
        self.state().late.len()
    }

    /// Carries out a write whose answer was lost earlier.
    pub(crate) async fn land(&self, index: usize) {
        let LateWrite { label, ids, write } = {
            let mut state = self.state();
            state.late.remove(index)
        };
        self.note(format!("  arrives late: {label}"));
        write.await;
        self.state().touched.extend(ids);
    }

    /// Returns the ids written to since the last call, and whether an owner's epoch may have changed.
    pub(crate) fn take_touched(&self) -> (Vec<SessionId>, bool) {
        let mut state = self.state();
        (std::mem::take(&mut state.touched), std::mem::take(&mut state.epochs_touched))
    }

    async fn stop(&self, label: &str, is_made: bool, writes: bool) -> Fate {
        let gone_on = {
            let mut state = self.state();
            if state.is_open || (is_made && !state.stops_twice) {
                return Fate::Done;
            }
            let (go, gone_on) = oneshot::channel();
            state.waiting.push(Ticket { label: label.to_owned(), is_made, writes, weight: 0, go });
            gone_on
        };
        gone_on.await.unwrap_or(Fate::Done)
    }
}

/// The store below, behind gates.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) inner: DynStore,
    pub(crate) gates: Arc<Gates>,
    /// Answers every other call at once, if it is asked to, and so stops at no gate.
    pub(crate) is_at_once: bool,
}

/// A call and its subject.
struct Call<'a> {
    method: &'static str,
    ids: &'a [&'a SessionId],
    writes: bool,
}

impl Gated {
    async fn pass<T>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StoreError>>,
        late: Option<Pending>,
    ) -> Result<T, StoreError> {
        let gates = &*self.gates;
        let names: Vec<_> = call.ids.iter().map(|id| gates.name(id)).collect();
        let label = format!("{} {}", call.method, names.join(" to "));
        let unknown = |kind| StoreError::new(kind).during(call.method).because("as the schedule wants it");
        let fate = gates.stop(&label, false, call.writes).await;
        match (fate, late) {
            (Fate::Refused(kind), _) => return Err(unknown(kind)),
            (Fate::Late, Some(write)) => {
                let ids = call.ids.iter().rev().map(|id| **id).collect();
                gates.state().late.push(LateWrite { label, ids, write });
                return Err(unknown(StoreErrorKind::OutcomeUnknown));
            }
            (Fate::Late, None) => return Err(unknown(StoreErrorKind::OutcomeUnknown)),
            (Fate::Done | Fate::Lost, _) => {}
        }
        gates.state().executing += 1;
        let executing = Executing(gates);
        let answer = answer.await;
        if call.writes {
            let mut state = gates.state();
            state.touched.extend(call.ids.iter().rev().map(|id| **id));
            state.epochs_touched |= call.ids.is_empty();
        }
        drop(executing);
        gates.stop(&label, true, false).await;
        if fate == Fate::Lost { Err(unknown(StoreErrorKind::OutcomeUnknown)) } else { answer }
    }

    /// Makes every other call that is asked for at once.
    fn at_once<T>(&self, call: Call<'_>, answer: impl FnOnce() -> Option<T>) -> Option<T> {
        let gates = &*self.gates;
        let is_turn = {
            let mut state = gates.state();
            state.asked_at_once += 1;
            state.asked_at_once.is_multiple_of(2)
        };
        if !self.is_at_once || !is_turn {
            return None;
        }
        let names: Vec<_> = call.ids.iter().map(|id| gates.name(id)).collect();
        gates.note(format!("  at once: {} {}", call.method, names.join(" to ")));
        let answer = answer();
        if call.writes {
            gates.state().touched.extend(call.ids.iter().rev().map(|id| **id));
        }
        answer
    }

    fn late<F: Future<Output = ()> + Send + 'static>(&self, write: impl FnOnce(DynStore) -> F) -> Option<Pending> {
        Some(Box::pin(write(self.inner.clone())))
    }
}

impl SessionStore for Gated {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.pass(Call { method: "load", ids: &[id], writes: false }, self.inner.load(id), None).await
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let (to, new) = (*id, Arc::clone(record));
        let late = self.late(|store| async move { drop(store.create(&to, &new, usage).await) });
        let call = Call { method: "create", ids: &[id], writes: true };
        self.pass(call, self.inner.create(id, record, usage), late).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let (at, new, version) = (*id, Arc::clone(record), *expected);
        let late = self.late(|store| async move { drop(store.update(&at, &new, &version, usage).await) });
        let call = Call { method: "update", ids: &[id], writes: true };
        self.pass(call, self.inner.update(id, record, expected, usage), late).await
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.at_once(Call { method: "load", ids: &[id], writes: false }, || self.inner.try_load(id))
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        let call = Call { method: "create", ids: &[id], writes: true };
        self.at_once(call, || self.inner.try_create(id, record, usage))
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        let call = Call { method: "update", ids: &[id], writes: true };
        self.at_once(call, || self.inner.try_update(id, record, expected, usage))
    }

    fn answers_at_once(&self) -> bool {
        self.is_at_once
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        self.pass(Call { method: "touch", ids: &[id], writes: true }, self.inner.touch(id, usage), None).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let at = *id;
        let late = self.late(|store| async move { drop(store.remove(&at).await) });
        self.pass(Call { method: "remove", ids: &[id], writes: true }, self.inner.remove(id), late).await
    }

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        let (at, version) = (*id, *expected);
        let late = self.late(|store| async move { drop(store.end(&at, &version, now).await) });
        self.pass(Call { method: "end", ids: &[id], writes: true }, self.inner.end(id, expected, now), late).await
    }

    async fn rename(
        &self,
        from: &SessionId,
        expected: &Version,
        tombstone: &Arc<Record>,
        to: &SessionId,
        record: &Arc<Record>,
        usage: Usage,
    ) -> Result<Rename, StoreError> {
        let (old, version, stone, new, data) = (*from, *expected, Arc::clone(tombstone), *to, Arc::clone(record));
        let late =
            self.late(|store| async move { drop(store.rename(&old, &version, &stone, &new, &data, usage).await) });
        let call = Call { method: "rename", ids: &[from, to], writes: true };
        self.pass(call, self.inner.rename(from, expected, tombstone, to, record, usage), late).await
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        self.pass(Call { method: "refresh", ids: &[id], writes: false }, self.inner.refresh(id, held), None).await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        self.pass(Call { method: "owner_epoch", ids: &[], writes: false }, self.inner.owner_epoch(owner), None).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        let call = Call { method: "ensure_epoch", ids: &[], writes: true };
        self.pass(call, self.inner.ensure_epoch(owner, usage), None).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let name = owner.to_owned();
        let late = self.late(|store| async move { drop(store.renew_epoch(&name, usage).await) });
        let call = Call { method: "renew_epoch", ids: &[], writes: true };
        self.pass(call, self.inner.renew_epoch(owner, usage), late).await
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn owners(&self) -> Option<&dyn Owners> {
        self.inner.owners().map(|_| self as &dyn Owners)
    }
}

#[async_trait::async_trait]
impl Owners for Gated {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let call = Call { method: "list_owner", ids: &[], writes: false };
        let owners = self.inner.owners().expect("asked for, and there");
        let mut listed = self.pass(call, owners.list_owner(owner), None).await?;
        // Ids are random, but a schedule must be repeatable.
        listed.sort_by_key(|owned| self.gates.place(&owned.id));
        Ok(listed)
    }
}
