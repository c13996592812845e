//! A wrapper that reports every call to an observer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    events::{EventKind, Observer, Observers, Outcome},
    id::SessionId,
    record::{Epoch, Record},
    store::{
        Acquire, Clearing, Create, Cursor, DynStore, End, Holder, Idle, Leases, ListedSession, Listing, Metadata,
        Owners, Page, Refresh, Rename, SessionStore, StoreError, Stored, Swept, Touch, Tracked, Update, Usage, Version,
        own_capabilities, require,
    },
};

/// Wraps a store and reports every call to an observer: its operation, outcome and duration ([`EventKind::Operation`]).
///
/// A layer that has an observer already calls its store through this wrapper. Use it to observe a store further down,
/// such as the store behind a cache:
///
/// ```
/// # fn over(store: impl session_layer::SessionStore) {
/// use session_layer::{CachedStore, Event, ObservedStore};
///
/// let store = CachedStore::new(ObservedStore::new(store, |event: &Event<'_>| println!("{event:?}")));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ObservedStore<S> {
    inner: S,
    observers: Observers,
}

impl<S: SessionStore> ObservedStore<S> {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: S, observer: impl Observer) -> Self {
        let mut observers = Observers::NONE.of(inner.name());
        observers.add(observer);
        Self { inner, observers }
    }

    /// The inner store.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        about: About<'_>,
        call: impl Future<Output = Result<T, StoreError>>,
        told: impl for<'t> FnOnce(&'t T) -> Told<'t>,
    ) -> Result<T, StoreError> {
        let mut started = Call { observers: &self.observers, operation, about, since: Instant::now(), is_over: false };
        let answer = call.await;
        match &answer {
            Ok(answer) => started.over(told(answer)),
            Err(error) => started.over(Told::outcome(Outcome::Failed(error))),
        }
        answer
    }

    /// Like [`call`](Self::call), but for a call that may be answered at once. If it is not, nothing is reported: the
    /// caller then makes the awaited call, which is.
    fn call_at_once<T>(
        &self,
        operation: &'static str,
        about: About<'_>,
        call: impl FnOnce() -> Option<Result<T, StoreError>>,
        told: impl for<'t> FnOnce(&'t T) -> Told<'t>,
    ) -> Option<Result<T, StoreError>> {
        let mut started = Call { observers: &self.observers, operation, about, since: Instant::now(), is_over: false };
        let answer = call();
        match &answer {
            Some(Ok(answer)) => started.over(told(answer)),
            Some(Err(error)) => started.over(Told::outcome(Outcome::Failed(error))),
            None => started.is_over = true,
        }
        answer
    }
}

/// Wraps the store of a layer that has observers.
pub(crate) fn observed(store: DynStore, observers: &Observers) -> DynStore {
    if observers.is_empty() {
        store
    } else {
        DynStore::new(ObservedStore { inner: store, observers: observers.clone() })
    }
}

/// What is known about a call before it is answered.
#[derive(Clone, Copy)]
struct About<'a> {
    id: Option<&'a SessionId>,
    record: Option<&'a Arc<Record>>,
}

/// What is reported about an answer.
#[derive(Clone, Copy)]
struct Told<'a> {
    outcome: Outcome<'a>,
    record: Option<&'a Arc<Record>>,
    sessions: Option<u64>,
}

/// A call under way. If it is dropped before it is over, it reports [`Outcome::Dropped`].
struct Call<'a> {
    observers: &'a Observers,
    operation: &'static str,
    about: About<'a>,
    since: Instant,
    is_over: bool,
}

impl<'a> About<'a> {
    const ALL: Self = Self { id: None, record: None };

    fn id(id: &'a SessionId) -> Self {
        Self { id: Some(id), record: None }
    }

    fn writing(id: &'a SessionId, record: &'a Arc<Record>) -> Self {
        Self { id: Some(id), record: Some(record) }
    }
}

impl<'a> Told<'a> {
    fn outcome(outcome: Outcome<'a>) -> Self {
        Self { outcome, record: None, sessions: None }
    }

    /// `Done` if the record was present, otherwise `Absent`.
    fn present(is_present: bool) -> Self {
        Self::outcome(if is_present { Outcome::Done } else { Outcome::Absent })
    }

    fn sessions(count: u64) -> Self {
        Self { sessions: Some(count), ..Self::outcome(Outcome::Done) }
    }
}

impl Call<'_> {
    fn over(&mut self, told: Told<'_>) {
        self.is_over = true;
        self.observers.notify(EventKind::Operation {
            operation: self.operation,
            outcome: told.outcome,
            duration: self.since.elapsed(),
            id: self.about.id.copied(),
            record: told.record.or(self.about.record),
            sessions: told.sessions,
        });
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.over(Told::outcome(Outcome::Dropped));
        }
    }
}

fn loaded(stored: &Option<Stored>) -> Told<'_> {
    Told { record: stored.as_ref().map(|stored| &stored.record), ..Told::present(stored.is_some()) }
}

fn created(create: &Create) -> Told<'_> {
    Told::outcome(match create {
        Create::Created(_) => Outcome::Done,
        Create::Exists => Outcome::Exists,
    })
}

fn updated(update: &Update) -> Told<'_> {
    Told::outcome(match update {
        Update::Updated(_) => Outcome::Done,
        Update::Conflict(_) => Outcome::Conflict,
        Update::Gone => Outcome::Absent,
    })
}

fn done<T>(_: &T) -> Told<'_> {
    Told::outcome(Outcome::Done)
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl<S: SessionStore> SessionStore for ObservedStore<S> {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        self.call("load", About::id(id), self.inner.load(id), loaded).await
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let call = self.inner.create(id, record, usage);
        self.call("create", About::writing(id, record), call, created).await
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let call = self.inner.update(id, record, expected, usage);
        self.call("update", About::writing(id, record), call, updated).await
    }

    fn try_load(&self, id: &SessionId) -> Option<Result<Option<Stored>, StoreError>> {
        self.call_at_once("load", About::id(id), || self.inner.try_load(id), loaded)
    }

    fn try_create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Option<Result<Create, StoreError>> {
        let call = || self.inner.try_create(id, record, usage);
        self.call_at_once("create", About::writing(id, record), call, created)
    }

    fn try_update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Option<Result<Update, StoreError>> {
        let call = || self.inner.try_update(id, record, expected, usage);
        self.call_at_once("update", About::writing(id, record), call, updated)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let call = self.inner.touch(id, usage);
        self.call("touch", About::id(id), call, |touch| Told::present(*touch == Touch::Touched)).await
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.call("remove", About::id(id), self.inner.remove(id), |was_there| Told::present(*was_there)).await
    }

    async fn end(&self, id: &SessionId, expected: &Version, now: SystemTime) -> Result<End, StoreError> {
        self.call("end", About::id(id), self.inner.end(id, expected, now), |end| {
            Told::outcome(match end {
                End::Ended => Outcome::Done,
                End::Conflict(_) => Outcome::Conflict,
                End::Gone => Outcome::Absent,
            })
        })
        .await
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
        let call = self.inner.rename(from, expected, tombstone, to, record, usage);
        self.call("rename", About::writing(from, record), call, |rename| {
            Told::outcome(match rename {
                Rename::Renamed(_) => Outcome::Done,
                Rename::Conflict(_) => Outcome::Conflict,
                Rename::Gone => Outcome::Absent,
                Rename::Exists => Outcome::Exists,
            })
        })
        .await
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        self.call("refresh", About::id(id), self.inner.refresh(id, held), |refresh| match refresh {
            Refresh::Same { .. } => Told::outcome(Outcome::Done),
            Refresh::Changed(stored) => Told { record: Some(&stored.record), ..Told::outcome(Outcome::Changed) },
            Refresh::Gone => Told::outcome(Outcome::Absent),
        })
        .await
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        let call = self.inner.owner_epoch(owner);
        self.call("owner_epoch", About::ALL, call, |epoch| Told::present(epoch.is_some())).await
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        self.call("ensure_epoch", About::ALL, self.inner.ensure_epoch(owner, usage), done).await
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        self.call("renew_epoch", About::ALL, self.inner.renew_epoch(owner, usage), done).await
    }

    fn tracked(&self, id: &SessionId, version: &Version) -> Option<Tracked> {
        self.inner.tracked(id, version)
    }

    fn answers_at_once(&self) -> bool {
        self.inner.answers_at_once()
    }

    fn in_memory(&self) -> bool {
        self.inner.in_memory()
    }

    fn overwrites(&self) -> bool {
        self.inner.overwrites()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    own_capabilities!(inner);

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        let call = self.inner.metadata(id);
        self.call("metadata", About::id(id), call, |metadata| Told::present(metadata.is_some())).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.call("flush", About::ALL, self.inner.flush(), done).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.call("close", About::ALL, self.inner.close(), done).await
    }
}

#[async_trait]
impl<S: SessionStore> Listing for ObservedStore<S> {
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError> {
        let call = require::listing(&self.inner, "ids")?.ids(from, limit);
        self.call("ids", About::ALL, call, |page| Told::sessions(number(page.ids.len()))).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.call("count", About::ALL, require::listing(&self.inner, "count")?.count(), |count| Told::sessions(*count))
            .await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.call("sweep", About::ALL, require::listing(&self.inner, "sweep")?.sweep(), |swept| {
            Told::sessions(swept.deleted)
        })
        .await
    }

    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError> {
        let call = require::listing(&self.inner, "delete_idle")?.delete_idle(idle);
        self.call("delete_idle", About::ALL, call, |swept| Told::sessions(swept.deleted)).await
    }
}

#[async_trait]
impl<S: SessionStore> Clearing for ObservedStore<S> {
    async fn clear(&self) -> Result<u64, StoreError> {
        self.call("clear", About::ALL, require::clearing(&self.inner, "clear")?.clear(), |cleared| {
            Told::sessions(*cleared)
        })
        .await
    }
}

#[async_trait]
impl<S: SessionStore> Owners for ObservedStore<S> {
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError> {
        let call = require::owners(&self.inner, "list_owner")?.list_owner(owner);
        self.call("list_owner", About::ALL, call, |sessions| Told::sessions(number(sessions.len()))).await
    }
}

#[async_trait]
impl<S: SessionStore> Leases for ObservedStore<S> {
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError> {
        self.call(
            "acquire",
            About::id(id),
            require::leases(&self.inner, "acquire")?.acquire(id, holder, time),
            |lock| {
                Told::outcome(match lock {
                    Acquire::Acquired { .. } => Outcome::Done,
                    Acquire::Held => Outcome::Held,
                    Acquire::Absent => Outcome::Absent,
                })
            },
        )
        .await
    }

    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        self.call("release", About::id(id), require::leases(&self.inner, "release")?.release(id, holder), |had| {
            Told::present(*had)
        })
        .await
    }

    // Not reported as an operation: the length of a wait says nothing about the store.
    async fn released(&self, id: &SessionId, at_most: Duration) {
        if let Some(leases) = self.inner.leases() {
            leases.released(id, at_most).await;
        }
    }
}
