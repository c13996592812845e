//! One request of a session after another: by the store's lease, with a line in front of it in this process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, Notify, Semaphore},
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use super::{
    lease::{self, Taken},
    settings::Settings,
};
use crate::{
    events::EventKind,
    id::SessionId,
    store::{Holder, SessionStore, StoreError, StoreErrorKind},
};

/// How many requests of one session wait behind the one that asks the store.
const BEHIND: usize = 32;

/// What a layer needs whose requests of one session run one after another.
#[derive(Debug)]
pub(crate) struct Exclusive {
    /// How long a request waits for its turn.
    pub(crate) wait: Duration,
    /// For how long it asks the lease.
    pub(crate) lease: Duration,
    lines: Lines,
}

/// The lines of the sessions that requests of this process have or wait for.
#[derive(Default)]
struct Lines(Mutex<HashMap<SessionId, Arc<Line>>>);

struct Line {
    /// One place for whoever asks the store, and those behind.
    room: Arc<Semaphore>,
    /// Whoever has it asks the store. It is given on in the order in which they came.
    asking: Arc<AsyncMutex<()>>,
    /// A request of this process has given the lease back.
    freed: Notify,
}

/// Keeps a session's line alive. The last one to leave removes it.
struct Place {
    settings: Arc<Settings>,
    id: SessionId,
    /// `None` once it has left.
    line: Option<Arc<Line>>,
}

/// A request's turn: the lease of its session. [`end`](Self::end) gives it back.
///
/// Dropped without that, it is given back in the background where a tokio runtime is at hand; elsewhere, and if the
/// process ends, it runs out at its time.
pub(crate) struct Turn {
    place: Place,
    /// `None`: there is nothing to give back.
    holder: Option<Holder>,
}

/// Why a request does not get its turn.
pub(crate) enum Denied {
    /// Others had the session for as long as this one was to wait, or too many wait already.
    Locked,
    /// The store has no leases.
    Unsupported(StoreError),
    Store(StoreError),
}

impl Exclusive {
    pub(crate) fn new(wait: Duration, lease: Duration) -> Self {
        Self { wait, lease, lines: Lines::default() }
    }
}

impl Turn {
    /// Waits for the lease of this session until the deadline. Returns `None` if the session is gone.
    ///
    /// If the future is dropped at any point, it leaves the line and gives back a lease that it may have been given.
    pub(crate) async fn take(
        settings: &Arc<Settings>,
        exclusive: &Exclusive,
        id: SessionId,
        deadline: Instant,
    ) -> Result<Option<Self>, Denied> {
        let place = Place { settings: Arc::clone(settings), id, line: Some(exclusive.lines.line(id)) };
        let denied = |reason| {
            settings.emit(EventKind::TurnRefused { id, reason });
            Denied::Locked
        };
        let Ok(room) = Arc::clone(&place.line().room).try_acquire_owned() else { return Err(denied("too many wait")) };
        let asking = Arc::clone(&place.line().asking).lock_owned();
        let Ok(asking) = timeout_at(deadline, asking).await else { return Err(denied("waited too long")) };
        let holder = Holder::generate()
            .map_err(|error| Denied::Store(StoreError::new(StoreErrorKind::Other).on(&id).because(error)))?;
        let mut turn = Self { place, holder: None };
        // Dropped while the store is at work, it gives back what it may have been given.
        let may_have = |may: bool| turn.holder = may.then_some(holder);
        let freed = Some(&turn.place.line().freed);
        match lease::take(&settings.store, &id, holder, exclusive.lease, deadline, freed, may_have).await {
            Ok(Taken::Until(_)) => {
                // The next one asks from now on: if this lease runs out, it must not wait for its request.
                drop((asking, room));
                Ok(Some(turn))
            }
            Ok(Taken::Absent) => Ok(None),
            Ok(Taken::Held) => Err(denied("waited too long")),
            Err(error) if error.kind() == StoreErrorKind::Unsupported => Err(Denied::Unsupported(error)),
            Err(error) => Err(Denied::Store(error)),
        }
    }

    /// Gives the lease back.
    pub(crate) async fn end(mut self) {
        if let Some(holder) = self.holder {
            self.place.give_back(holder).await;
            // Only now: a future that is dropped before leaves it to `drop`.
            self.holder = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (Some(holder), Ok(runtime)) = (self.holder.take(), Handle::try_current()) else { return };
        let Place { settings, id, line } = &self.place;
        let place = Place { settings: Arc::clone(settings), id: *id, line: line.clone() };
        let operation = place.settings.running.begin();
        let give_back = async move {
            place.give_back(holder).await;
            drop(operation);
        };
        runtime.spawn(give_back.in_current_span());
    }
}

impl Place {
    fn line(&self) -> &Line {
        self.line.as_deref().expect("only `drop` takes it")
    }

    async fn give_back(&self, holder: Holder) {
        let store = &self.settings.store;
        let released = match store.unlock(&self.id, holder).await {
            // If the first one arrived, the second changes nothing.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => store.unlock(&self.id, holder).await,
            outcome => outcome,
        };
        if let Err(error) = released {
            self.settings.emit(EventKind::ReleaseFailed { id: self.id, error: &error });
        }
        self.line().freed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(exclusive) = &self.settings.exclusive else { return };
        let mut lines = exclusive.lines.all();
        // Left before it is looked who is still there: of two that leave at once the second one sees that it is the last.
        // To join takes the map's lock.
        self.line = None;
        if lines.get(&self.id).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.id);
        }
    }
}

impl Lines {
    fn line(&self, id: SessionId) -> Arc<Line> {
        Arc::clone(self.all().entry(id).or_insert_with(|| {
            Arc::new(Line { room: Arc::new(Semaphore::new(1 + BEHIND)), asking: Arc::default(), freed: Notify::new() })
        }))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("sessions", &self.all().len()).finish()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("id", &self.place.id).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests;
