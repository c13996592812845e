//! The store: what its operations share.

use std::{fmt, sync::Arc, time::SystemTime};

use redis::Value;

use super::{
    key::Keys,
    known_epoch::KnownEpoch,
    link::{Connection, Link, LinkError, RedisStatistics},
    listed::Listed,
    recent::Recent,
    script::Script,
};
use crate::{
    clock::{self, Clock},
    id::SessionId,
    store::released::Released,
};

/// Sessions on Redis or Valkey, shared by any number of processes. Clones share one store.
///
/// One server, the primary that Sentinels name, or a cluster. Each write is one Lua script that compares the expected
/// version and writes in one step, so that no update is lost and no session is brought back.
///
/// ```no_run
/// use session_layer::{RedisStore, SessionLayer};
///
/// # async fn run() -> session_layer::Result<()> {
/// let store = RedisStore::builder().server("10.0.0.1:6379").prefix("shop:").connect().await?;
/// let layer = SessionLayer::builder(store).build()?;
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
///
/// # What is kept, and where
///
/// `{24a}` stands for the partition of an id: its first ten bits, in braces, so that a cluster keeps all keys of a partition
/// in one slot. There are 1,024.
///
/// | key (after the prefix) | type | value | expires |
/// |---|---|---|---|
/// | `{24a}:ID` | string | a head of 90 bytes, and the record: a session or a tombstone | with the session |
/// | `{24a}:OWNER:epoch` | string | an owner's epoch, 25 bytes; `OWNER` is [`SessionId::for_epoch`] | as long as it was asked for |
/// | `{24a}:OWNER:sessions` | sorted set | the ids of an owner's sessions, by the time at which each ends at the latest | with the last of them |
/// | `{24a}:generation` | string | a number; made by the first `clear` | never |
///
/// The head has the nonce that is the session's version, last use, expiry, absolute limit, generation, the owner's id, and
/// the lease.
///
/// # Round trips
///
/// One for a load, a create, an update, a touch, an end, a refresh, a lock and an unlock; two for a rename. On one server (and
/// by Sentinel) a load brings the owner's epoch along, and the script that writes a session puts it on its owner's list. In
/// a cluster, where the owner's keys are on another node, the epoch of a session with an owner is one more round trip, and
/// its list is one more at its first write in each process (in a rename, beside the second). So on one server a request
/// that reads takes one round trip, one that writes takes two, a login four and a logout two.
///
/// A load is one `MGET` if the process has seen the session before, since it then knows which epoch to ask for; it remembers the
/// owners of 16,384 sessions. Otherwise it is a script, which takes the server longer. An owner that has changed elsewhere since
/// then costs the next load one more round trip. A server that has become a replica is noticed within 100 ms: that often, the
/// `UNLINK` of a key that is never there goes with the `MGET`. Until then it answers what it still has, and never that a
/// session is gone.
///
/// # Client-side caching
///
/// With [`tracking`](super::RedisStoreBuilder::tracking), the servers say when something changes that this process has read.
/// An owner's epoch is then read once, and not again until it changes. A [`CachedStore`](crate::CachedStore) in front of the
/// store serves a session without a round trip until the server says that it may have changed:
///
/// ```no_run
/// use std::time::Duration;
/// use session_layer::{CachedStore, RedisStore, SessionLayer};
///
/// # async fn run() -> session_layer::Result<()> {
/// let store = RedisStore::builder().server("10.0.0.1:6379").tracking(Duration::from_secs(1)).connect().await?;
/// let layer = SessionLayer::builder(CachedStore::new(store)).build()?;
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
///
/// A change by another process, a logout or a revocation included, is seen when the server's message arrives. WINDOW_FIGURES
/// If the connection goes silent, the old state is served until the `window` of the setting is over, and no longer.
///
/// # Leases
///
/// A lease is a part of the session's value: it ends with the session, and taking it is one round trip. A waiter in the
/// process that gives a lease back is woken at once. In other processes, it asks after pauses that double from 20 to 160 ms,
/// less a random part up to one half.
///
/// # Clearing
///
/// Each record has the generation that its partition had when it was created, and one of an older generation than its
/// partition is absent. [`clear`](crate::store::Clearing::clear) first raises the generation of every partition, which ends
/// all sessions, those under way included, and then removes what is left by `SCAN`. A session that is renewed keeps its
/// generation, so that it can't escape from a partition that is still to be cleared to one that already is. If `clear` fails
/// half-way, repeat it.
///
/// # Walks
///
/// [`ids`](crate::store::Listing::ids), [`count`](crate::store::Listing::count), [`sweep`](crate::store::Listing::sweep) and
/// [`delete_idle`](crate::store::Listing::delete_idle) go through all keys of the database by `SCAN`, primary by primary, so
/// give sessions a database of their own if it holds much else. A key whose slot is moved to another node while a walk goes on
/// can be left out. `count` needs about 20 bytes of memory for each session. `sweep` has little to do: the server removes
/// expired sessions itself, and these are not counted.
///
/// # Runtimes and time limits
///
/// Any number of runtimes can share a store. Each has its own [`connections`](super::RedisStoreBuilder::connections) to each
/// server, made when they are needed. A dropped request gives its bytes to nobody else. A caller enforces its time limit in
/// its own future. While a server is down, requests fail at once; it is connected to again after pauses that double from
/// 20 ms to 1 s, less a random part.
///
/// # Clusters and Sentinels
///
/// In a cluster, the nodes tell which of them has which keys. Requests go to primaries only, also those that read: what a
/// replica has may be old. A request that a node refuses because the slot has moved (`MOVED`, `ASK`) goes to the node that
/// it names. While a slot is being moved key by key, the keys of one partition are on both nodes for a moment (`TRYAGAIN`);
/// requests for its sessions then wait, as they do while the cluster elects a primary (`CLUSTERDOWN`), at most for their
/// time limit. If the node of a session can't be connected to, and the others know no other one, its requests fail at once.
///
/// The Sentinels are asked at each attempt to connect. When they have promoted a replica, the store learns of it by what
/// happens to its connections: the old primary closes them, or refuses a write as a replica, or does not answer in time.
///
/// A failover takes as long as the servers need to notice (`cluster-node-timeout`, `down-after-milliseconds`) and to elect
/// another primary. Until then requests for its sessions are errors, never "absent".
///
/// # Unknown outcomes
///
/// If the answer to a write is lost, the write may have happened, or may still happen. An update, a touch, a lock, an end and
/// a removal are sent once more: the script finds what the first has done, by a nonce that is drawn before the first is sent,
/// and the first does nothing if it arrives later. A create is read back, since a second one could bring back what was removed
/// in between; so is a renewed epoch. If that does not settle it, the error is
/// [`OutcomeUnknown`](crate::store::StoreErrorKind::OutcomeUnknown): the second is not answered either, another write has
/// come, or nothing is left, so that whether this call or another has ended the session can't be told.
///
/// A replica answers nothing: what it holds may be old, or missing while it fetches the primary's data. Its refusal,
/// `READONLY`, is an error for reads as well.
///
/// What the server refuses (`OOM`, `READONLY`, `NOPERM`, `LOADING`, `CLUSTERDOWN` and so on) has changed nothing. The error
/// is [`Unavailable`](crate::store::StoreErrorKind::Unavailable), and its source says what to do.
///
/// # Time
///
/// A session is absent from its expiry on, by the clock of the process that asks and by the server's, whichever is first. So
/// keep the machines' clocks in step: a process whose clock is a minute fast ends idle sessions a minute early. Times are
/// exact to the millisecond, also after a touch.
///
/// # What eviction and failures can do
///
/// Use `maxmemory-policy noeviction`. A full server then refuses to write, which is an error for requests that change a
/// session, while reads go on and sessions can be ended. With any other policy, the server drops keys when it is full; a
/// warning says so when the store connects:
///
/// | lost | consequence |
/// |---|---|
/// | a session | its visitor is logged out |
/// | an owner's epoch | all sessions of the owner are revoked |
/// | an owner's list | [`list_owner`](crate::store::Owners::list_owner) and a limit of sessions per owner miss its sessions until their next write; revocation still ends every one |
/// | a tombstone | the old id is absent, not superseded |
/// | a generation | a write that was under way at the last `clear` could bring a session back |
///
/// To size a server, add for each session the record's bytes and about 260 more (the head, the key and Redis's own; measured
/// with 7.0), and for each owner about 400. Without persistence a restart logs everybody out; with it (`appendonly yes`), the
/// server loses up to a second, or nothing with `appendfsync always`.
///
/// Replication is asynchronous: if a primary fails, the replica that takes its place may lack the last writes, although they
/// were answered. A session is then in an older state, **and a logout or a revocation may be undone**. `EncryptedStore` and
/// `CachedStore` don't change that. [`replicas`](super::RedisStoreBuilder::replicas) has each write wait until replicas
/// confirm it.
///
/// # Permissions
///
/// The commands and keys that a user needs, as in `ACL SETUSER`. Further ones are `+select` for another database than 0,
/// `+client|tracking` with the setting `tracking`, `+cluster|slots +asking` in a cluster, `+role` with Sentinels, and `+wait` with the setting `replicas`. A user of the
/// Sentinels needs `+hello +role +sentinel|masters`.
///
/// ```text
/// ~session:* resetchannels -@all +hello +ping +info +evalsha +eval +get +mget +getrange +set +setrange +pexpireat
/// +pexpiretime +unlink +zadd +zrem +zcard +zrange +zremrangebyscore +zremrangebyrank +scan
/// ```
///
/// `session:` is the prefix. Without `+info`, nothing warns of an eviction policy.
///
/// # Servers
///
/// Redis 7.0 and later, and Valkey 7.2 and later; an older one is an error. Tested with Redis 7.0 and Valkey 9. The protocol
/// is RESP3.
///
/// # Events
///
/// Their target is `session_layer::store::redis`.
///
/// | level | event | fields |
/// |---|---|---|
/// | trace | load, refresh | `id`, `found` or `same` |
/// | debug | created, updated, ended, renamed, touch, remove, lock, unlock, closed | `id`, the outcome |
/// | info | not created: the id is taken; not renamed: the new id is taken | `id` |
/// | info | not updated, not ended, not renamed: another version is stored, or the session is gone | `id` |
/// | info | cleared | `cleared`: how many sessions there were |
/// | info | connected | `server`, `kind`, `version`, `role` |
/// | warn | the server evicts sessions when it is full (once for each server) | `server`, `policy` |
/// | warn | connection lost | `server`, `reason` |
/// | warn | server down: its sessions are unavailable (once, until it is back) | `server`, `cause` |
/// | warn | no node of the cluster answers | `error` |
/// | warn | failed (an operation) | `id`, `operation`, `error`, `cause` |
/// | warn | not listed with its owner | `id`, `error` |
/// | error | failed: the stored bytes are no record | `id`, `operation`, `error`, `cause` |
#[derive(Clone)]
pub struct RedisStore {
    pub(super) inner: Arc<Inner>,
}

/// What clones share.
pub(super) struct Inner {
    pub(super) link: Link,
    pub(super) keys: Keys,
    pub(super) options: Options,
    pub(super) listed: Listed,
    pub(super) released: Released,
    /// The owners of sessions.
    pub(super) owners: Recent<Option<SessionId>>,
    /// Owners' epochs, if servers say when they change.
    pub(super) epochs: Recent<KnownEpoch>,
}

/// The settings that connections don't need.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) list_owners: bool,
    pub(super) value_size_limit: usize,
    pub(super) clock: Clock,
}

/// The keys of one id.
pub(super) struct Place {
    pub(super) session: String,
    pub(super) generation: String,
}

impl RedisStore {
    pub(super) fn new(link: Link, keys: Keys, options: Options) -> Self {
        let (listed, released) = (Listed::default(), Released::default());
        let (owners, epochs) = (Recent::default(), Recent::default());
        Self { inner: Arc::new(Inner { link, keys, options, listed, released, owners, epochs }) }
    }

    /// What was done with the servers since the store was made.
    #[must_use]
    pub fn statistics(&self) -> RedisStatistics {
        self.inner.link.statistics()
    }

    pub(super) fn now(&self) -> SystemTime {
        self.inner.options.clock.now()
    }

    pub(super) fn place(&self, id: &SessionId) -> Place {
        Place { session: self.inner.keys.session(id), generation: self.inner.keys.generation(id) }
    }

    /// Runs a script with these keys and arguments, after those that each has: the time, and the prefix if the script can
    /// use all keys.
    pub(super) async fn run(&self, script: &'static Script, keys: &[&str], args: &[&[u8]]) -> Result<Value, LinkError> {
        // However this ends, and if it is dropped: what this process knows of these keys is out of date.
        let _changing = script.writes().then(|| self.inner.link.changing(keys));
        self.answered(script, keys, args).await.map(|(reply, _)| reply)
    }

    /// The same for a script that reads, with the connection that the answer came on.
    pub(super) async fn answered(
        &self,
        script: &'static Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<(Value, Connection), LinkError> {
        let now = clock::to_millis(self.now()).to_string();
        let prefix = if self.inner.link.is_one_node() { self.inner.keys.prefix() } else { "" };
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        let mut all = Vec::with_capacity(args.len() + 2);
        all.extend([now.as_bytes(), prefix.as_bytes()]);
        all.extend(args);
        self.inner.link.script(script, &keys, &all).await
    }
}

impl RedisStore {
    /// The same with keys that are the future's own.
    pub(super) async fn run_on(
        &self,
        script: &'static Script,
        keys: Vec<String>,
        args: Vec<&[u8]>,
    ) -> Result<Value, LinkError> {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        self.run(script, &keys, &args).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.inner.link)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
