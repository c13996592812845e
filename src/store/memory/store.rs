//! The memory store.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    background::Background, core::Core, departed::tell_expired, journal::Ticket, restore::Restored, table::Done,
};
use crate::{id::SessionId, store::StoreError};

/// A store in this process's memory: bounded, with proactive expiry, and with optional snapshots. Clones share one
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
/// See [`MemoryStoreBuilder`](super::MemoryStoreBuilder) for the settings. To use it like a dictionary, wrap it in
/// [`Sessions`](crate::Sessions), like any other store.
///
/// # Eviction
///
/// A full store evicts the least recently used session, in constant time. Creating, loading, updating and touching
/// count as use; `metadata`, `ids` and `list_owner` don't. A session that was just stored is never evicted to make room
/// for itself.
///
/// Sessions without an owner are evicted first. A 32nd part of the capacity, and of the bytes (at least 192 KiB, at
/// most half), is reserved for them. So anonymous visitors evict each other and never a login, not even in a store that
/// is full of logins. A session without an owner can be no larger than the reserved bytes; otherwise the store returns
/// `TooLarge`. (A store with a capacity of one reserves nothing.)
///
/// Tombstones and epochs cost bytes but are not counted as sessions. An epoch is evicted only if its owner has no
/// session here, since losing it would revoke them.
///
/// Below a capacity of 1,024, the order of eviction is strict. Above, there are up to 64 shards, and the victim is the
/// oldest session of the shard that needs room. Since ids are random, that is one of the oldest of all.
///
/// # Expiry
///
/// An expired session is absent at once. Its space is freed by a sweep, whose cost depends on what has expired: a
/// million sessions that expire in a day cost nothing while they wait. Only `delete_idle` and listing all sessions look
/// at every session. They do so in short steps, so that no other call waits long.
///
/// # Restarts
///
/// With a [`snapshot_path`](super::MemoryStoreBuilder::snapshot_path), a snapshot is written at an interval, by `flush`
/// and by `close`, while requests continue. Between snapshots, states that must not come back are written to a journal
/// before the call returns: those that were removed, renamed, cleared or deleted as idle; an epoch that was renewed; a
/// session whose owner was changed or whose life was shortened by more than a second. A crash loses what was *created
/// or changed* since the last snapshot. What was *evicted* may come back, since nobody ended it. Leases are not
/// restored.
///
/// If the journal can't be written (because the disk is full, say), such a call returns `OutcomeUnknown`: it took
/// effect, but a crash before the next snapshot would undo it. The lines wait in memory, 40 bytes each, and are written
/// once, with the first removal for which there is space. Until then, each refused call tries only a short piece of
/// them, so that its cost does not grow with their number. A snapshot that fails is reported as an event, and tried
/// again at the next interval.
///
/// Versions ascend over restarts, including crashes, and over all stores with snapshots in one process. So a caller
/// that still holds a version from before a restart can't overwrite a state that it has not seen.
///
/// Only one store at a time can have a snapshot open, over all processes. (Not tested on Windows. Folders are synced on
/// Unix only.)
///
/// # Closing
///
/// `close` refuses all later calls, writes the last snapshot and stops the tasks. A store that is dropped without
/// `close` writes its last snapshot, too, which blocks the thread that drops it.
///
/// # Events
///
/// Target `session_layer::store::memory`. Events contain ids, but never tokens or values.
///
/// | level | when |
/// |---|---|
/// | trace | loaded |
/// | debug | created, updated, touched, removed, ended, renamed, cleared, an epoch renewed |
/// | debug | a lease requested or given back; swept, idle sessions deleted; a snapshot written, restored |
/// | info | evicted; a create, update, end or rename that found another version, nothing, or its id taken |
/// | warn | a call refused or failed (closed, too large, the journal); a damaged file moved aside |
/// | warn | dropped without `close` |
/// | error | a snapshot or the journal could not be written; a store dropped without `close` lost sessions |
#[derive(Clone)]
pub struct MemoryStore {
    handle: Arc<Handle>,
}

/// The state that is dropped with the last clone.
struct Handle {
    core: Arc<Core>,
    background: Background,
    restored: Restored,
    longest_lease: Duration,
    close_timeout: Duration,
}

/// Statistics of a memory store. They count sessions only: tombstones and epochs are included only in `bytes`.
///
/// `created = present + expired + evicted + removed` holds whenever no call is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStatistics {
    /// Sessions that were created, renamed to, or restored.
    pub created: u64,
    /// Sessions that are live, or expired and not swept yet.
    pub present: u64,
    /// Sessions that were swept or replaced after they had expired.
    pub expired: u64,
    /// Sessions that were evicted because the store was full.
    pub evicted: u64,
    /// Sessions that were removed, cleared, or renamed from.
    pub removed: u64,
    /// Bytes of memory in use, by the store's own estimate.
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

    /// Returns the core, after starting the tasks if need be.
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

    /// Reports what a call evicted or found expired, waits for the journal, and returns the outcome.
    pub(super) async fn settle<T>(
        &self,
        operation: &'static str,
        id: &SessionId,
        done: Result<Done<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let (outcome, ticket) = self.report(operation, id, done)?;
        if ticket.is_some() {
            let written = self.handle.core.written(ticket).await;
            written.map_err(|error| refused(operation, error.on(id)))?;
        }
        Ok(outcome)
    }

    /// Reports what a call evicted or found expired. Returns the outcome, and the journal's line that must be written
    /// before it is returned.
    pub(super) fn report<T>(
        &self,
        operation: &'static str,
        id: &SessionId,
        done: Result<Done<T>, StoreError>,
    ) -> Result<(T, Option<Ticket>), StoreError> {
        let Done { outcome, ticket, evicted, expired } = done.map_err(|error| refused(operation, error.on(id)))?;
        evicted.report(&self.handle.core.observers);
        tell_expired(&self.handle.core.observers, expired.as_deref());
        Ok((outcome, ticket))
    }

    /// Returns what was restored when the store was opened.
    #[must_use]
    pub fn restored(&self) -> &Restored {
        &self.handle.restored
    }

    /// Returns the store's statistics.
    #[must_use]
    pub fn statistics(&self) -> MemoryStatistics {
        let totals = self.handle.core.table.totals();
        MemoryStatistics {
            created: totals.created,
            present: totals.present(),
            expired: totals.expired,
            evicted: totals.evicted,
            removed: totals.removed,
            bytes: self.handle.core.table.shared.occupancy.bytes(),
        }
    }
}

/// Adds the operation to an error and logs it.
pub(super) fn refused(operation: &'static str, error: StoreError) -> StoreError {
    let error = error.during(operation);
    let source = std::error::Error::source(&error);
    tracing::warn!(target: super::events::TARGET, error = source, "{error}");
    error
}

/// Shows the number of sessions and the capacity, never a session's content.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.handle.core;
        f.debug_struct("MemoryStore")
            .field("sessions", &core.table.shared.occupancy.sessions())
            .field("capacity", &core.table.shared.bounds.capacity)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.background.stop();
        let Some(snapshotter) = &self.core.snapshotter else { return };
        // The store is closed already, so nothing is left to do.
        if !self.core.table.close() {
            return;
        }
        tracing::warn!(
            target: super::events::TARGET, path = %snapshotter.path().display(),
            "the store was dropped without `close`: writing the last snapshot now, which blocks this thread"
        );
        if let Err(error) = self.core.finish(self.close_timeout) {
            tracing::error!(
                target: super::events::TARGET, path = %snapshotter.path().display(), error = std::error::Error::source(&error),
                "what was created or changed since the last snapshot is lost"
            );
        }
    }
}
