//! The store: what its operations share, and the contract.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::{
    client::{ClientError, Command, Reply, Server, ServerSettings, ServerStatistics},
    events::TARGET,
    key::{Key, Keys},
    list_policy::ListPolicy,
    released::Released,
    ring::Ring,
};
use crate::{
    clock::Clock,
    id::SessionId,
    record::{Epoch, Owner, Record},
    store::{
        Clearing, Create, Cursor, End, Holder, Idle, Leases, Listing, Lock, Metadata, Owned, Owners, Page, Refresh,
        SessionStore, StoreError, StoreErrorKind, Stored, Swept, Touch, Update, Usage, Version, address::Address,
    },
};

/// The port that memcached listens on if it is told no other.
pub(super) const DEFAULT_PORT: u16 = 11_211;

/// How many ids are remembered as listed with their owner.
const REMEMBERED: usize = 16_384;

/// Sessions on a cluster of memcached servers, shared by any number of processes. Clones share one store.
///
/// For any number of application processes and servers, without lost updates and without resurrection: every write is
/// a compare-and-swap, and what is not there is never written by an update.
///
/// # What is kept, and where
///
/// | item | key (after the prefix) | on the server of | written |
/// |---|---|---|---|
/// | record: session, tombstone | the id | its key | `ms … ME` to create, `ms … C` to update |
/// | an owner's epoch | the id of the owner and `:epoch` | the id of the owner | `ms … ME`, `ms … C` |
/// | lease | the id and `:lease` | the record's key | `ms … ME`, `ms … C` |
/// | an owner's sessions | the id of the owner and `:sessions` | the id of the owner | `ms … ME`, `ms … C` |
/// | generation, if `clear_by_generation` is set | `generation` | each server | `ms … ME`, `ms … MS` by `clear` |
///
/// A key's server is found on the ketama ring that libmemcached builds with `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED` at
/// equal weights, so that other clients that use it agree. All processes must be given the same servers, spelled alike.
/// When the list is changed, sessions whose server is another one then are lost: with one more among ten, about an
/// eleventh. **Take a server out of the list only for good:** one that comes back later with old copies would bring
/// back what was removed meanwhile. (One that is restarted is empty and does no harm.) A server that is down is not
/// replaced by a neighbour, for the same reason: its sessions are unavailable until it is back.
///
/// # Round trips
///
/// One for a load, an update, a create, a refresh, an end and a remove; one more for the epoch of a session with an owner, and
/// two for the list at its login. A touch takes one if the session has the time left already, otherwise two. A rename takes
/// three, a lock three at least, an unlock three.
///
/// # Leases
///
/// Memcached tells nobody when an item goes, so who waits for a lease must ask for it. One small read each, after pauses
/// that double from 20 to 160 ms, less a random part up to one half, and no longer than the lease has left. So each waiter
/// costs 15 reads a second at most, and sees a release in another process after 160 ms and a round trip at the latest; in
/// the process that gives the lease back it is woken at once. One wait ends with its time, with an error of the server's, or
/// after about a second, when [`lock`](crate::store::Leases::lock) is to be asked whether the session is still there.
///
/// # Runtimes and time limits
///
/// Any number of runtimes can share a store. Each runtime has its own [`connections`](super::MemcachedStoreBuilder::connections) to
/// each server, made at its first request. So a runtime that is busy or has ended neither delays the others nor ends
/// their connections. A caller enforces its time limit in its own future, with its own runtime's timer. It is answered
/// in time even if the task that owns the connection can't run; the connection is then replaced. The limit includes the
/// wait for a place in the queue, for a connection and for its handshake.
///
/// A request that is still queued at the limit is withdrawn and never sent. The error is
/// [`Timeout`](crate::store::StoreErrorKind::Timeout) or [`Unavailable`](crate::store::StoreErrorKind::Unavailable).
///
/// # What eviction can do
///
/// A server that is full evicts items, per slab class: a new item replaces only items of about its own size, the least
/// recently used first.
///
/// | lost | consequence |
/// |---|---|
/// | a session | its visitor is logged out |
/// | an owner's epoch | all sessions of the owner are revoked |
/// | an owner's list | [`list_owner`](crate::store::Owners::list_owner) names only sessions that are listed later, and a limit of sessions per owner counts only those; the others live on, and revocation still ends every one |
/// | a lease | another holder may take it; the first can't commit then, since taking it gives the record a new version |
/// | a tombstone | the old id is absent, not superseded |
/// | a generation | all sessions on that server end |
///
/// Nothing is ever brought back.
///
/// **Anonymous sessions don't log out idle users.** An epoch is smaller than any session, lease or list, and no other
/// items are in its slab class. So sessions don't evict it, whatever their size and number. Only the epochs of other
/// owners evict it, starting with the owners that have not been seen for the longest time. This holds for prefixes of
/// at most 100 bytes, memcached's default `-n`, and a growth factor (`-f`) of at most 1.25, its default.
///
/// Its limit is memcached's slab automover. While a full server keeps evicting from one class for half a minute, the
/// automover moves pages to it from other classes, including that of the epochs. It leaves each class two pages: the
/// epochs of 13,000 owners on each server, or of 8,700 with a prefix of more than 26 bytes. With more owners, start
/// memcached with `-o slab_automove=0`, so that no page is moved. (Measured with 1.6.18, `-m 64`, 40,000 owners and
/// over 20 million small sessions: by default 13,796 epochs and 1,128 of 10,000 other records were left; without the
/// automover, all of both.)
///
/// To size a server, add for each session the record's bytes and about 200 more (head, key and memcached's own), a
/// third on top for the slabs' rounding, and 152 to 240 bytes for each owner. Watch `evictions` in memcached's `stats`.
///
/// # Time
///
/// Expiry is memcached's own, in whole seconds: a session never ends before its time, and ends within two seconds after
/// it (within one, if a whole number of seconds was left). The clocks of application servers may differ: times up to 30
/// days are relative for memcached. Longer times are dates, and memcached's dates end on 19 January 2038. A session
/// that should live longer ends then or, once that date has passed, after 30 days.
///
/// `used_at` and `expires_at` are exact to the millisecond after a create or an update. A touch moves only memcached's
/// own expiry, from which both are then derived: they move by the same amount, and are up to 3.25 seconds late, but
/// never in the future. A touch that moves the expiry by less than that can't be distinguished from rounding, and moves
/// neither. If the absolute limit caps the expiry, `used_at` moves only as far as the expiry does.
///
/// Memcached has no touch that only moves the expiry to later. So a touch reads the time left, and writes only if that is
/// less than what it asks for. Of two touches at once the later one wins: if the earlier one is written last, it sees the
/// time before it in its answer and gives it back, in one more round trip. If its caller goes away before that, the
/// session keeps the time that the earlier one asked for. Neither deletes a session.
///
/// # Unknown outcomes
///
/// A write that was sent and not answered is never sent again. It is read back: a number that is drawn for each write
/// tells which write stored the item. If that does not settle it, the error is
/// [`OutcomeUnknown`](crate::store::StoreErrorKind::OutcomeUnknown). A delete has no such number: if its answer is lost and
/// the item is gone, the delete counts as done.
///
/// Servers count CAS values from 1 again after a restart. So a CAS value is used only with the incarnation of the
/// server that gave it, which is identified by the server's process id and the second of its start. A version, a lease
/// or an epoch that was read before a restart matches nothing that is stored after it.
///
/// # Servers
///
/// memcached 1.6.10 and later, but not 1.6.12, whose conditional delete is broken; tested with 1.6.18. Compare-and-swap
/// must be on (no `-C`); both are checked when a connection is made. Authentication by `-Y`; SASL (`-S`) is for the binary
/// protocol and is not supported. Unix sockets and TLS (`-Z`, feature `memcached-tls`) work. It was not run on Windows.
///
/// # Events
///
/// Their target is `session_layer::store::memcached`.
///
/// | level | event | fields |
/// |---|---|---|
/// | trace | load, refresh | `id`, `found` or `same` |
/// | debug | created, updated, ended, touch, remove, lock, unlock, closed | `id`, the outcome |
/// | info | not created: the id is taken | `id` |
/// | info | not updated, not ended: another version is stored, or the session is gone | `id` |
/// | info | cleared: every server has a new generation | |
/// | info | connected | `server`, `version` |
/// | warn | connection lost | `server`, `reason` |
/// | warn | server down: its sessions are unavailable (once, until it is back) | `server`, `cause` |
/// | warn | failed (an operation) | `id`, `operation`, `error`, `cause` |
/// | warn | not listed with its owner | `id`, `error`, `cause` |
/// | warn | memcached can't do this: the answer is empty | `operation` |
/// | error | failed: the stored bytes are no record | `id`, `operation`, `error`, `cause` |
/// | error | protocol violated: connection closed | `server`, `error` |
/// | error | memcached could not store an update | `cause` |
#[derive(Clone)]
pub struct MemcachedStore {
    pub(super) inner: Arc<Inner>,
}

/// What clones share.
pub(super) struct Inner {
    pub(super) servers: Box<[Server]>,
    ring: Ring,
    pub(super) keys: Keys,
    pub(super) options: Options,
    /// Sessions that this process has put on their owner's list, so that not every update asks.
    listed: Mutex<HashSet<SessionId>>,
    pub(super) released: Released,
}

/// The settings that the client does not need.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) last_write_wins: bool,
    pub(super) list_policy: ListPolicy,
    pub(super) clear_by_generation: bool,
    pub(super) list_owners: bool,
    pub(super) clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            last_write_wins: false,
            list_policy: ListPolicy::default(),
            clear_by_generation: false,
            list_owners: true,
            clock: Clock::system(),
        }
    }
}

/// Where one id's items are, and until when its operation may take.
pub(super) struct Place<'a> {
    pub(super) server: &'a Server,
    pub(super) lane: usize,
    pub(super) deadline: Instant,
    /// The record's key.
    pub(super) key: Key,
}

impl Place<'_> {
    pub(super) async fn call(&self, command: Command) -> Result<Reply, ClientError> {
        self.server.call(self.lane, command, self.deadline).await
    }

    /// The same with as much time as at the beginning.
    pub(super) fn renewed(&self) -> Self {
        Self { server: self.server, lane: self.lane, deadline: self.server.deadline(), key: self.key }
    }
}

impl MemcachedStore {
    pub(super) fn new(addresses: Vec<Address>, settings: Arc<ServerSettings>, keys: Keys, options: Options) -> Self {
        let names: Vec<_> = addresses.iter().map(|address| address.ring_name(DEFAULT_PORT)).collect();
        let servers = addresses.into_iter().map(|address| Server::new(address, Arc::clone(&settings))).collect();
        let (ring, listed, released) = (Ring::new(&names), Mutex::default(), Released::default());
        Self { inner: Arc::new(Inner { servers, ring, keys, options, listed, released }) }
    }

    /// What was done with each server, in the order of the settings.
    #[must_use]
    pub fn statistics(&self) -> Vec<ServerStatistics> {
        self.inner.servers.iter().map(Server::statistics).collect()
    }

    /// Which server this session is on: its index in the settings' list.
    #[must_use]
    pub fn server_of(&self, id: &SessionId) -> usize {
        self.inner.ring.server(self.inner.keys.record(id).as_bytes())
    }

    /// A session's lease and an owner's list are on the server of the record or the epoch.
    pub(super) fn place(&self, id: &SessionId) -> Place<'_> {
        let key = self.inner.keys.record(id);
        let server = &self.inner.servers[self.inner.ring.server(key.as_bytes())];
        // An id is a hash: any of its bytes spreads evenly.
        Place { server, lane: usize::from(id.as_bytes()[15]), deadline: server.deadline(), key }
    }

    /// Whether this process has listed the session with its owner, or does now.
    pub(super) fn first_listing(&self, id: &SessionId) -> bool {
        let mut listed = self.inner.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() >= REMEMBERED {
            listed.clear();
        }
        listed.insert(*id)
    }

    pub(super) fn forget_listing(&self, id: &SessionId) {
        self.inner.listed.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// What memcached has no operation for, by the policy.
    fn unlistable<T: Default>(&self, operation: &'static str) -> Result<T, StoreError> {
        match self.inner.options.list_policy {
            ListPolicy::Ignore => Ok(T::default()),
            ListPolicy::Warn => {
                tracing::warn!(target: TARGET, operation, "memcached can't do this: the answer is empty");
                Ok(T::default())
            }
            ListPolicy::Error => Err(StoreError::unsupported(operation)),
        }
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore")
            .field("servers", &self.inner.servers)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

/// Names operation and id in an error, and reports it.
pub(super) fn failed(operation: &'static str, id: &SessionId, error: StoreError) -> StoreError {
    let error = error.during(operation).on(id);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    match error.kind() {
        StoreErrorKind::Corrupt => tracing::error!(target: TARGET, %id, operation, %error, cause, "failed"),
        _ => tracing::warn!(target: TARGET, %id, operation, %error, cause, "failed"),
    }
    error
}

impl SessionStore for MemcachedStore {
    async fn load(&self, id: &SessionId) -> Result<Option<Stored>, StoreError> {
        let loaded = self.load_item(id).await.map_err(|error| failed("load", id, error))?;
        tracing::trace!(target: TARGET, %id, found = loaded.is_some(), "load");
        Ok(loaded.map(|held| held.stored))
    }

    async fn create(&self, id: &SessionId, record: &Arc<Record>, usage: Usage) -> Result<Create, StoreError> {
        let outcome = self.create_item(id, record, usage).await.map_err(|error| failed("create", id, error))?;
        match outcome {
            Create::Created(_) => tracing::debug!(target: TARGET, %id, "created"),
            Create::Exists => tracing::info!(target: TARGET, %id, "not created: the id is taken"),
        }
        if matches!(outcome, Create::Created(_)) {
            self.list_with_owner(id, record).await;
        }
        Ok(outcome)
    }

    async fn update(
        &self,
        id: &SessionId,
        record: &Arc<Record>,
        expected: &Version,
        usage: Usage,
    ) -> Result<Update, StoreError> {
        let outcome =
            self.update_item(id, record, expected, usage).await.map_err(|error| failed("update", id, error))?;
        match outcome {
            Update::Updated(_) => {
                tracing::debug!(target: TARGET, %id, "updated");
                self.list_with_owner(id, record).await;
            }
            Update::Conflict(_) => tracing::info!(target: TARGET, %id, "not updated: another version is stored"),
            Update::Gone => tracing::info!(target: TARGET, %id, "not updated: the session is gone"),
        }
        Ok(outcome)
    }

    async fn touch(&self, id: &SessionId, usage: Usage) -> Result<Touch, StoreError> {
        let outcome = self.touch_item(id, usage).await.map_err(|error| failed("touch", id, error))?;
        tracing::debug!(target: TARGET, %id, outcome = ?outcome, "touch");
        Ok(outcome)
    }

    async fn remove(&self, id: &SessionId) -> Result<bool, StoreError> {
        let removed = self.remove_item(id).await.map_err(|error| failed("remove", id, error))?;
        self.forget_listing(id);
        self.inner.released.ring(id);
        tracing::debug!(target: TARGET, %id, removed, "remove");
        Ok(removed)
    }

    async fn end(&self, id: &SessionId, expected: &Version, _now: SystemTime) -> Result<End, StoreError> {
        let outcome = self.end_item(id, expected).await.map_err(|error| failed("end", id, error))?;
        match outcome {
            End::Ended => {
                self.forget_listing(id);
                self.inner.released.ring(id);
                tracing::debug!(target: TARGET, %id, "ended");
            }
            End::Conflict(_) => tracing::info!(target: TARGET, %id, "not ended: another version is stored"),
            End::Gone => tracing::info!(target: TARGET, %id, "not ended: the session is gone"),
        }
        Ok(outcome)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let outcome = self.refresh_item(id, held).await.map_err(|error| failed("refresh", id, error))?;
        tracing::trace!(target: TARGET, %id, same = matches!(outcome, Refresh::Same { .. }), "refresh");
        Ok(outcome)
    }

    async fn owner_epoch(&self, owner: &str) -> Result<Option<Epoch>, StoreError> {
        let id = SessionId::of_owner(owner);
        self.epoch_of(&id).await.map_err(|error| failed("owner_epoch", &id, error))
    }

    async fn ensure_epoch(&self, owner: &str, usage: Usage) -> Result<Epoch, StoreError> {
        let id = SessionId::of_owner(owner);
        // A name that is not a valid owner has no epoch.
        Owner::new(owner, Epoch::from_u64(0))
            .map_err(|error| StoreError::new(StoreErrorKind::Other).during("ensure_epoch").because(error))?;
        self.keep_epoch(&id, usage).await.map_err(|error| failed("ensure_epoch", &id, error))
    }

    async fn renew_epoch(&self, owner: &str, usage: Usage) -> Result<(), StoreError> {
        let id = SessionId::of_owner(owner);
        self.change_epoch(&id, usage).await.map_err(|error| failed("renew_epoch", &id, error))
    }

    fn overwrites(&self) -> bool {
        self.inner.options.last_write_wins
    }

    fn name(&self) -> &'static str {
        "memcached"
    }

    /// Present unless the [`ListPolicy`] is `Error`: memcached can't list its items.
    fn listing(&self) -> Option<&dyn Listing> {
        (self.inner.options.list_policy != ListPolicy::Error).then_some(self as &dyn Listing)
    }

    /// Present if [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation) is set.
    fn clearing(&self) -> Option<&dyn Clearing> {
        self.inner.options.clear_by_generation.then_some(self as &dyn Clearing)
    }

    /// Present unless [`list_owners`](super::MemcachedStoreBuilder::list_owners) is off.
    fn owners(&self) -> Option<&dyn Owners> {
        self.inner.options.list_owners.then_some(self as &dyn Owners)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.metadata_of(id).await.map_err(|error| failed("metadata", id, error))
    }

    /// Waits until every request that was sent before is answered, those of callers that have gone included.
    async fn flush(&self) -> Result<(), StoreError> {
        for server in &self.inner.servers {
            let probe = || Command::get(&self.inner.keys.probe(), "t");
            server.flush(probe).await.map_err(|error| error.of_read().during("flush"))?;
        }
        Ok(())
    }

    /// Takes no more requests, waits for the replies to those under way, and disconnects.
    async fn close(&self) -> Result<(), StoreError> {
        let ending = self.inner.servers.iter().flat_map(Server::close);
        // All limits begin at the same time.
        let ending: Vec<_> = ending.map(|closing| (Instant::now() + closing.limit(), closing)).collect();
        if ending.is_empty() {
            return Ok(());
        }
        let mut late = false;
        for (deadline, mut closing) in ending {
            if timeout_at(deadline, &mut closing.task).await.is_err() {
                closing.task.abort();
                late |= !closing.is_idle();
            }
        }
        if late {
            let error = StoreError::new(StoreErrorKind::Timeout).during("close");
            return Err(error.because("a server did not answer what was under way"));
        }
        tracing::debug!(target: TARGET, "closed");
        Ok(())
    }
}

#[async_trait]
impl Listing for MemcachedStore {
    async fn ids(&self, _from: Cursor, _limit: usize) -> Result<Page, StoreError> {
        self.unlistable("ids")
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.unlistable("count")
    }

    /// Nothing: memcached drops what has expired itself, and does not say how much that was. So the policy
    /// [`ListPolicy::Error`] makes this an error, too.
    async fn sweep(&self) -> Result<Swept, StoreError> {
        match self.inner.options.list_policy {
            ListPolicy::Error => Err(StoreError::unsupported("sweep")),
            ListPolicy::Ignore | ListPolicy::Warn => Ok(Swept::default()),
        }
    }

    /// Fails with `Unsupported`: memcached can't list the sessions to end. It drops
    /// sessions that were not used for their idle limit by itself.
    async fn delete_idle(&self, _idle: Idle) -> Result<Swept, StoreError> {
        Err(StoreError::unsupported("delete_idle")
            .because("memcached can't list its items: give sessions an idle limit"))
    }
}

#[async_trait]
impl Clearing for MemcachedStore {
    /// Ends every session, if [`clear_by_generation`](super::MemcachedStoreBuilder::clear_by_generation) is set. Returns 0,
    /// since the number of sessions is not known.
    async fn clear(&self) -> Result<u64, StoreError> {
        if !self.inner.options.clear_by_generation {
            let error = StoreError::unsupported("clear");
            return Err(error.because("memcached can't list its items: set `clear_by_generation` on the builder"));
        }
        self.renew_generations().await.map_err(|error| error.during("clear"))?;
        tracing::info!(target: TARGET, "cleared: every server has a new generation");
        Ok(0)
    }
}

#[async_trait]
impl Owners for MemcachedStore {
    async fn list_owner(&self, owner: &str) -> Result<Vec<Owned>, StoreError> {
        if !self.inner.options.list_owners {
            let error = StoreError::unsupported("list_owner");
            return Err(error.because("its lists of owners are off: set `list_owners` on the builder"));
        }
        let id = SessionId::of_owner(owner);
        let listed = self.sessions_of(owner, &id).await.map_err(|error| failed("list_owner", &id, error))?;
        Ok(listed.into_iter().map(|(id, stored)| Owned::new(id).with_stored(stored)).collect())
    }
}

#[async_trait]
impl Leases for MemcachedStore {
    async fn lock(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Lock, StoreError> {
        let outcome = self.lock_item(id, holder, time).await.map_err(|error| failed("lock", id, error))?;
        tracing::debug!(target: TARGET, %id, outcome = ?outcome, "lock");
        Ok(outcome)
    }

    async fn unlock(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError> {
        let released = self.unlock_item(id, holder).await.map_err(|error| failed("unlock", id, error))?;
        tracing::debug!(target: TARGET, %id, released, "unlock");
        Ok(released)
    }

    /// Asks for the lease again and again (see [Leases](Self#leases)), and no more once it can't be asked for.
    async fn unlocked(&self, id: &SessionId, at_most: Duration) {
        let wait = self.lease_ended(id);
        // Nothing is under way that would have to be undone.
        let _ = tokio::time::timeout(at_most, wait).await;
    }
}
