//! What a session needs of its layer: the settings, the store, the clock, the observers, and the lines in which the
//! commits and the requests of one session wait for each other.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::time::Instant;

use super::{
    queue::{Front, Lines, Place},
    settings::Settings,
};
use crate::{
    clock::{self, Clock},
    error::{Error, ErrorKind, Result},
    events::{EventKind, NoSessionReason, Observers},
    id::{Check, SessionId, SessionToken},
    record::Record,
    store::DynStore,
};

/// What all sessions and requests of a layer share.
///
/// Aligned so that it shares no cache line with the reference count of its `Arc`, which every request changes. Otherwise
/// the requests of each thread would evict from the other threads' caches what all of them read.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) store: DynStore,
    pub(crate) observers: Observers,
    pub(crate) clock: Clock,
    /// Whether a layer nested under its own name was reported.
    pub(crate) nested: Arc<AtomicBool>,
    /// Where the commits of one session, and the logins of one owner, wait for each other.
    commits: Arc<Lines>,
    /// Where the requests of one session wait for its lease.
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
            commits: Arc::new(Lines::unbounded()),
            leases: Arc::new(Lines::bounded()),
        }
    }

    /// The default settings over this store.
    pub(crate) fn over(store: DynStore) -> Self {
        Self::new(Settings::default(), store, Observers::NONE, Clock::system())
    }

    /// The same for a holder of the session's lease.
    pub(crate) fn of_a_lease_holder(&self) -> Self {
        Self { settings: self.settings.of_a_lease_holder(), ..self.clone() }
    }

    pub(crate) fn emit(&self, kind: EventKind<'_>) {
        self.observers.emit(kind);
    }

    /// Reports why there is no session of this id.
    pub(crate) fn no_session(&self, reason: NoSessionReason, id: &SessionId, record: Option<&Arc<Record>>) {
        self.emit(EventKind::NoSession { reason, id: Some(*id), record });
    }

    /// The store's key and the check of a token.
    pub(crate) fn identify(&self, token: &SessionToken) -> (SessionId, Check) {
        token.identify(self.settings.cookie.bare_name())
    }

    /// Until when a write that meets conflicts is tried again.
    pub(crate) fn deadline(&self) -> Instant {
        clock::deadline(self.settings.retry_for)
    }

    /// Waits until no other commit of this session in this process has the turn; `None` if that took until the deadline.
    ///
    /// A hundred commits that meet conflicts and try again at once would each fail up to a hundred times. One after
    /// another, each reloads once.
    pub(crate) async fn commit_turn(&self, id: SessionId, deadline: Instant) -> Option<Front> {
        self.commits.front(id, deadline).await
    }

    /// The same if nobody has the turn or waits for it.
    pub(crate) fn try_commit_turn(&self, id: SessionId) -> Option<Front> {
        self.commits.try_front(id)
    }

    /// The same for logins and revocations of one owner.
    pub(crate) async fn owner_turn(&self, owner: &str, deadline: Instant) -> Option<Front> {
        self.commits.front(SessionId::of_owner(owner), deadline).await
    }

    /// Joins the line of the requests of this process that wait for a session's lease.
    pub(super) fn join_lease_line(&self, id: SessionId) -> Place {
        self.leases.join(id)
    }
}

/// Fails if the time to try again is over.
pub(crate) fn within(deadline: Instant, id: &SessionId) -> Result<()> {
    if Instant::now() < deadline { Ok(()) } else { Err(Error::session(ErrorKind::Contended, *id)) }
}
