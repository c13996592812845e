//! The store.

use std::{fmt, sync::Arc, time::Duration};

use super::{background::Background, core::Core, evicted::tell_expired, restore::Restored, table::Done};
use crate::{id::SessionId, store::StoreError};

/// Sessions in this process's memory: bounded, with proactive expiry, and with snapshots if asked for. Clones share one
/// store.
///
/// ```
/// use session_layer::MemoryStore;
///
/// let store = MemoryStore::new();                                  // 100,000 sessions, 256 MiB
/// let large = MemoryStore::builder().capacity(1_000_000).bytes(2 << 30).open()?;
/// # Ok::<(), session_layer::store::MemoryOpenError>(())
/// ```
///
/// See [`MemoryStoreBuilder`](super::MemoryStoreBuilder) for the settings. To use it like a dictionary, make
/// [`Sessions`](crate::Sessions) of it, as of any other store.
///
/// # Eviction
///
/// A full store evicts the least recently used session, in constant time. Created, loaded, updated and touched is used;
/// `metadata`, `ids` and `list_owner` are no uses. A session that was just stored is never the one to go.
///
/// Sessions without an owner go first. A 32nd part of the capacity, and of the bytes (at least 192 KiB, at most half), is
/// kept free of sessions that have one. So anonymous visitors push out each other and never a login, not even in a
/// store that is full of logins. A single session without an owner can be no larger than that part: it is `TooLarge`.
/// (A store with a capacity of one has nothing to keep free.)
///
/// Tombstones and epochs cost bytes but are not counted as sessions. An epoch goes only when its owner has no session
/// here: without it they would be revoked.
///
/// Below a capacity of 1,024 the order is strict. Above, there are up to 64 shards, and the victim is the oldest of the
/// shard in which room is needed. As ids are random, that is one of the oldest of all.
///
/// # Expiry
///
/// An expired session is absent at once. Its space is given free by a sweep whose cost follows what has expired: a
/// million sessions with a day to live cost nothing while they wait. Only `delete_idle` and going through all sessions
/// look at every session; they do so in short steps, which hold nobody up.
///
/// # Restarts
///
/// With a [`snapshot_path`](super::MemoryStoreBuilder::snapshot_path) a snapshot is written at an interval, by `flush` and by
/// `close`, while requests go on. Between snapshots, what must not come back is written to a journal before the answer
/// is given: what was removed, renamed, cleared or found idle; an epoch that was renewed; a session whose owner was
/// changed or whose life was shortened by a second or more. What was *created or changed* since the last snapshot is
/// lost in a crash, and what was *evicted* may come back: nobody ended it. Leases are not restored.
///
/// If the journal can't be written (the disk is full), such a call returns `OutcomeUnknown`: it took effect, but a
/// crash before the next snapshot would undo it. The lines wait in memory, 40 bytes each, and are written once, with
/// the first removal for which there is space. Until then each refused call tries only a short piece of them, so that
/// its cost does not grow with their number. A snapshot that fails is reported as an event, and tried again at the next
/// interval.
///
/// Versions ascend over restarts, including crashes, and over all stores with snapshots in one process. A caller that
/// still holds a version from before a restart therefore can't overwrite a state that it has not seen.
///
/// One store at a time can have a snapshot open, in all processes. (Not run on Windows. Folders are synced on Unix only.)
///
/// # Ending
///
/// `close` refuses all later calls, writes the last snapshot and stops the tasks. A store that is dropped unclosed writes
/// its last snapshot, too, and so blocks the thread that drops it.
///
/// # Events
///
/// Target `session_layer::store::memory`. Ids are in them; tokens and values never.
///
/// | level | when |
/// |---|---|
/// | trace | loaded |
/// | debug | created, updated, touched, removed, renamed, cleared, an epoch renewed, a lease asked for or given back, swept, idle deleted, a snapshot written, restored |
/// | info | evicted; a create, update or rename that found another version, nothing, or its id taken |
/// | warn | a call refused or failed (closed, too large, the journal); a damaged file set aside; dropped without `close` |
/// | error | a snapshot or the journal could not be written; what an unclosed store has lost |
#[derive(Clone)]
pub struct MemoryStore {
    handle: Arc<Handle>,
}

/// What is dropped with the last clone.
struct Handle {
    core: Arc<Core>,
    background: Background,
    restored: Restored,
    longest_lease: Duration,
    close_timeout: Duration,
}

/// What a memory store has done and holds. Sessions only: tombstones and epochs are not counted, but in `bytes`.
///
/// `created = present + expired + evicted + removed` holds at every instant at which nothing is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStatistics {
    /// Created, renamed to, or restored.
    pub created: u64,
    /// Live, or expired and not swept yet.
    pub present: u64,
    /// Swept, or replaced, after they had expired.
    pub expired: u64,
    /// Evicted because the store was full.
    pub evicted: u64,
    /// Removed, cleared, or renamed from.
    pub removed: u64,
    /// Bytes of memory in use by the store's own estimate.
    pub bytes: u64,
}

impl MemoryStore {
    pub(super) fn of(
        core: Arc<Core>,
        restored: Restored,
        background: Background,
        longest_lease: Duration,
        close_timeout: Duration,
    ) -> Self {
        Self { handle: Arc::new(Handle { core, background, restored, longest_lease, close_timeout }) }
    }

    /// The core, once the tasks are under way.
    pub(super) fn core(&self) -> &Arc<Core> {
        self.handle.background.start(&self.handle.core);
        &self.handle.core
    }

    pub(super) fn longest_lease(&self) -> Duration {
        self.handle.longest_lease
    }

    pub(super) async fn close_once(&self) -> Result<(), StoreError> {
        self.handle.background.stop();
        self.handle.core.close(self.handle.close_timeout).await
    }

    /// Waits for the journal, and tells what came of it.
    pub(super) async fn settle<T>(
        &self,
        operation: &'static str,
        id: &SessionId,
        done: Result<Done<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let named = |error: StoreError| refused(operation, error.on(id));
        let Done { outcome, ticket, evicted, expired } = done.map_err(named)?;
        evicted.report(&self.handle.core.observers);
        tell_expired(&self.handle.core.observers, expired.as_deref());
        drop(expired);
        if ticket.is_some() {
            self.handle.core.written(ticket).await.map_err(named)?;
        }
        Ok(outcome)
    }

    /// What was restored when the store was opened.
    #[must_use]
    pub fn restored(&self) -> &Restored {
        &self.handle.restored
    }

    /// What the store has done and holds.
    #[must_use]
    pub fn statistics(&self) -> MemoryStatistics {
        let totals = self.handle.core.table.totals();
        MemoryStatistics {
            created: totals.created,
            present: totals.present(),
            expired: totals.expired,
            evicted: totals.evicted,
            removed: totals.removed,
            bytes: self.handle.core.table.shared.ledger.bytes(),
        }
    }
}

/// Names the operation in an error, and reports it.
pub(super) fn refused(operation: &'static str, error: StoreError) -> StoreError {
    let error = error.during(operation);
    let source = std::error::Error::source(&error);
    tracing::warn!(target: super::TARGET, error = source, "{error}");
    error
}

/// Count and capacity; never what is in a session.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.handle.core;
        f.debug_struct("MemoryStore")
            .field("sessions", &core.table.shared.ledger.sessions())
            .field("capacity", &core.table.shared.bounds.capacity)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.background.stop();
        let Some(keeper) = &self.core.keeper else { return };
        // Closed already: nothing is left to do.
        if !self.core.table.close() {
            return;
        }
        tracing::warn!(
            target: super::TARGET, path = %keeper.path().display(),
            "the store was dropped without `close`: the last snapshot is written now, and holds this thread up"
        );
        if let Err(error) = self.core.finish(self.close_timeout) {
            tracing::error!(
                target: super::TARGET, path = %keeper.path().display(), error = std::error::Error::source(&error),
                "what was created or changed since the last snapshot is lost"
            );
        }
    }
}
