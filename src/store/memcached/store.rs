//! The store: what its operations share, and the contract.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{
    address::Address,
    client::{ClientError, Command, Reply, Server, ServerSettings, ServerStatistics},
    config::{ListPolicy, MemcachedBuilder},
    events::TARGET,
    key::{Key, Keys},
    ring::Ring,
};
use crate::{
    clock::Clock,
    id::SessionId,
    record::Record,
    store::{
        Create, Cursor, Holder, Lock, Metadata, Page, Refresh, SessionStore, StoreError, StoreErrorKind, Stored, Swept,
        Touch, Update, Usage, Version,
    },
};

/// How many ids are remembered as listed with their owner.
const REMEMBERED: usize = 16_384;

/// Sessions on a cluster of memcached servers, shared by any number of processes. Clones share one store.
///
/// See the [module's page](self) for what memcached can and can't promise.
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
    /// The settings of a store; [`build`](MemcachedBuilder::build) makes it.
    pub fn builder() -> MemcachedBuilder {
        MemcachedBuilder::default()
    }

    pub(super) fn new(addresses: Vec<Address>, settings: Arc<ServerSettings>, keys: Keys, options: Options) -> Self {
        let names: Vec<_> = addresses.iter().map(Address::ring_name).collect();
        let servers = addresses.into_iter().map(|address| Server::new(address, Arc::clone(&settings))).collect();
        let (ring, listed) = (Ring::new(&names), Mutex::default());
        Self { inner: Arc::new(Inner { servers, ring, keys, options, listed }) }
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
            Update::Conflict => tracing::info!(target: TARGET, %id, "not updated: another version is stored"),
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
        tracing::debug!(target: TARGET, %id, removed, "remove");
        Ok(removed)
    }

    async fn refresh(&self, id: &SessionId, held: &Stored) -> Result<Refresh, StoreError> {
        let outcome = self.refresh_item(id, held).await.map_err(|error| failed("refresh", id, error))?;
        tracing::trace!(target: TARGET, %id, same = matches!(outcome, Refresh::Same(_)), "refresh");
        Ok(outcome)
    }

    fn name(&self) -> &'static str {
        "memcached"
    }

    async fn metadata(&self, id: &SessionId) -> Result<Option<Metadata>, StoreError> {
        self.metadata_of(id).await.map_err(|error| failed("metadata", id, error))
    }

    async fn ids(&self, _from: Cursor, _limit: usize) -> Result<Page, StoreError> {
        self.unlistable("ids")
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.unlistable("count")
    }

    /// By generation if so set (see [`MemcachedBuilder::clear_by_generation`]): how many sessions there were is not
    /// known, so the answer is 0. Otherwise by the policy, and nothing is removed.
    async fn clear(&self) -> Result<u64, StoreError> {
        if !self.inner.options.clear_by_generation {
            return self.unlistable("clear");
        }
        self.renew_generations().await.map_err(|error| error.during("clear"))?;
        tracing::info!(target: TARGET, "cleared: every server has a new generation");
        Ok(0)
    }

    /// Nothing: memcached drops what has expired itself. How much it was is not known, so that the policy
    /// [`ListPolicy::Error`] makes this an error too.
    async fn sweep(&self) -> Result<Swept, StoreError> {
        match self.inner.options.list_policy {
            ListPolicy::Error => Err(StoreError::unsupported("sweep")),
            ListPolicy::Ignore | ListPolicy::Warn => Ok(Swept::default()),
        }
    }

    async fn delete_idle(&self, _unused_for: Duration) -> Result<Swept, StoreError> {
        self.unlistable("delete_idle")
    }

    async fn list_owner(&self, owner: &str) -> Result<Vec<(SessionId, Stored)>, StoreError> {
        if !self.inner.options.list_owners {
            return Err(StoreError::unsupported("list_owner"));
        }
        let id = SessionId::of_owner(owner);
        self.sessions_of(owner, &id).await.map_err(|error| failed("list_owner", &id, error))
    }

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
        let mut ending = Vec::new();
        for server in &self.inner.servers {
            ending.extend(server.close().into_iter().map(|task| (Instant::now() + server.close_limit(), task)));
        }
        if ending.is_empty() {
            return Ok(());
        }
        let mut late = false;
        for (deadline, task) in ending {
            let abort = task.abort_handle();
            if timeout_at(deadline, task).await.is_err() {
                abort.abort();
                late = true;
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
