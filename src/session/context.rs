//! What sessions share within a layer: the settings, the store, the clock, the observers, and the lines in which the
//! commits and the requests of one session wait for each other.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::time::Instant;

use super::{
    outliving::Outliving,
    queue::{Front, Lines, Place},
    settings::Settings,
};
use crate::{
    clock::{self, Clock},
    error::{Error, ErrorKind, Result},
    events::{EventKind, NoSessionReason, Observers},
    id::{SessionId, SessionToken, TokenCheck},
    record::Record,
    store::{DynStore, StoreError},
};

/// The state shared by all sessions and requests of a layer.
///
/// Aligned so that it shares no cache line with the reference count of its `Arc`. Every request changes that count,
/// which would evict the settings, read by all requests, from the caches of all other threads.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) store: DynStore,
    pub(crate) observers: Observers,
    pub(crate) clock: Clock,
    /// Set once a layer that is nested inside another of the same cookie name was reported.
    pub(crate) nested: Arc<AtomicBool>,
    /// The operations that continue when their callers are dropped.
    pub(crate) outliving: Outliving,
    /// The lines in which the commits of one session, and the logins and revocations of one owner, wait for each other.
    writers: Arc<Lines>,
    /// The lines in which the requests of one session wait for its lease.
    leases: Arc<Lines>,
}

impl Context {
    pub(crate) fn new(settings: Settings, store: DynStore, observers: Observers, clock: Clock) -> Self {
        Self {
            settings,
            store,
            observers,
            clock,
            nested: Arc::default(),
            outliving: Outliving::default(),
            writers: Arc::new(Lines::unbounded()),
            leases: Arc::new(Lines::bounded()),
        }
    }

    /// Creates a context with the default settings for this store.
    pub(crate) fn over(store: DynStore) -> Self {
        Self::new(Settings::default(), store, Observers::NONE, Clock::system())
    }

    /// Returns a copy with the settings for a holder of the session's lease.
    pub(crate) fn of_a_lease_holder(&self) -> Self {
        Self { settings: self.settings.of_a_lease_holder(), ..self.clone() }
    }

    pub(crate) fn emit(&self, kind: EventKind<'_>) {
        self.observers.emit(kind);
    }

    /// Reports why there is no session with this id.
    pub(crate) fn no_session(&self, reason: NoSessionReason, id: &SessionId, record: Option<&Arc<Record>>) {
        self.emit(EventKind::NoSession { reason, id: Some(*id), record });
    }

    /// Returns a token's id (the store's key) and check.
    pub(crate) fn identify(&self, token: &SessionToken) -> (SessionId, TokenCheck) {
        token.identify(self.settings.cookie.bare_name())
    }

    /// Returns the time until which a write is tried again after conflicts.
    pub(crate) fn deadline(&self) -> Instant {
        clock::deadline(self.settings.retry_for)
    }

    /// Waits for the front of the line in which the commits of this session in this process wait for each other.
    /// Returns `None` if the deadline passes first.
    ///
    /// If a hundred commits met conflicts and tried again at once, each would fail up to a hundred times. If they go one
    /// after another, each reloads once.
    pub(crate) async fn commit_front(&self, id: SessionId, deadline: Instant) -> Option<Front> {
        self.writers.front(id, deadline).await
    }

    /// Like [`commit_front`](Self::commit_front), but returns `None` instead of waiting if another commit is in the
    /// line.
    pub(crate) fn try_commit_front(&self, id: SessionId) -> Option<Front> {
        self.writers.try_front(id)
    }

    /// Like [`commit_front`](Self::commit_front), but for the logins and revocations of one owner.
    pub(crate) async fn owner_front(&self, owner: &str, deadline: Instant) -> Option<Front> {
        self.writers.front(SessionId::for_epoch(owner), deadline).await
    }

    /// Joins the line of this process's requests that wait for a session's lease.
    pub(super) fn join_lease_line(&self, id: SessionId) -> Place {
        self.leases.join(id)
    }
}

/// Returns [`Contended`](ErrorKind::Contended) if the deadline has passed.
pub(crate) fn check_deadline(deadline: Instant, id: &SessionId) -> Result<()> {
    if Instant::now() < deadline { Ok(()) } else { Err(Error::session(ErrorKind::Contended, *id)) }
}

/// Converts a store's error, and names the operation and the session.
pub(crate) fn failed(operation: &'static str, id: &SessionId) -> impl FnOnce(StoreError) -> Error {
    let id = *id;
    move |error| error.during(operation).on(&id).into()
}
