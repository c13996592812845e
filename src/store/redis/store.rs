//! The store, and what its operations share.

use std::{fmt, sync::Arc, time::SystemTime};

use redis::Value;

use super::{
    key::Keys,
    known::{KnownEpoch, KnownVersion},
    link::{Connection, Link, LinkError, RedisStatistics},
    listed::Listed,
    recent::Recent,
    reply::is_done,
    script::Script,
    value::{STATE_RANGE, Written},
};
use crate::{
    clock::{self, Clock},
    id::SessionId,
    store::released::Released,
};

/// A session store on Redis or Valkey, shared by any number of processes. Clones share one store.
///
/// The backend is one server, the primary that Sentinels name, or a cluster. Each write is one Lua script that compares
/// the expected version and writes in one step, so no update is lost and no ended session comes back.
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
/// # Keys and values
///
/// `{24a}` stands for the partition of an id: its first ten bits, in braces, so that a cluster keeps all keys of a
/// partition in one slot. There are 1,024 partitions. `OWNER` stands for the owner's id: [`SessionId::for_epoch`].
///
/// | key (after the prefix) | type | value | expires |
/// |---|---|---|---|
/// | `{24a}:ID` | string | a head of 90 bytes, and the record: a session or a tombstone | with the session |
/// | `{24a}:OWNER:epoch` | string | an owner's epoch, 25 bytes | at the requested time |
/// | `{24a}:OWNER:sessions` | sorted set | an owner's session ids, by their absolute limits | with the last of them |
/// | `{24a}:generation` | string | a number; the first `clear` creates it | never |
///
/// The head contains the nonce that is the session's version, the last use, the expiry, the absolute limit, the
/// generation, the owner's id, and the lease.
///
/// # Round trips
///
/// A load, create, update, touch, end or refresh takes one round trip, and so does taking or releasing a lease. A
/// rename takes two. On one server (and with Sentinel), a load also returns the owner's epoch, and the script that
/// writes a session also adds it to its owner's list. So a request that only reads takes one round trip, one that
/// writes takes two, a login four and a logout two.
///
/// In a cluster, the owner's keys can be on another node. So the epoch of a session with an owner takes one more round
/// trip. Adding the session to the owner's list takes one more at its first write in each process; a rename does it in
/// parallel with its second round trip.
///
/// A load is one `MGET` if the process remembers the session's owner, and so which epoch to read. It remembers the
/// owners of 16,384 sessions. Otherwise a load is a script, which takes the server longer. If another process has
/// changed the owner since, the next load takes one more round trip.
///
/// A server that has become a replica is noticed within 100 ms: once in that time, the `UNLINK` of a key that never
/// exists is sent along with the `MGET`. Until then the replica returns what it still has, but it never reports that a
/// session is gone.
///
/// # Client-side caching
///
/// With the setting [`tracking`](super::RedisStoreBuilder::tracking), the servers report changes to what this process
/// has read. An owner's epoch is then read once, and again only after it has changed. A
/// [`CachedStore`](crate::CachedStore) around the store serves a session without a round trip until the server reports
/// that it may have changed:
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
/// A session that this process has written is served in the same way, so a request that changes a session makes one
/// round trip. To this end, the head of the value is read back together with each create and update. With more than one
/// of the store's connections in use (several runtimes, or a connection that is held up), it may be validated once.
///
/// A change by another process, including a logout or a revocation, is seen when the server's message arrives.
/// In a test with Redis 7.0 on one machine, 96 of 100 changes were seen before the process that made them had its answer,
/// 99 within 0.05 ms after it, and all of 100,000 within 6 ms.
/// If the connection goes silent, the old state is served until the setting's `window` has passed, and no longer. (The time
/// that a suspended machine sleeps is not counted. `SWAPDB` is not reported: don't use it.)
///
/// # Leases
///
/// A lease is stored in the session's value: it ends with the session, and taking it is one round trip. A waiting
/// request is woken at once if its own process releases the lease. Otherwise, it polls the server, after pauses that
/// double from 20 to 160 ms, each shortened by a random part of up to one half.
///
/// # Clearing
///
/// Each record contains the generation that its partition had when the session was created. A record whose generation
/// is older than its partition's counts as absent. [`clear`](crate::store::Clearing::clear) first raises the generation
/// of every partition, which ends all sessions, including those in use. Then it removes what is left, using `SCAN`.
///
/// A renewed session keeps its generation, so it can't escape from a partition that has not been cleared yet to one
/// that has. If `clear` fails halfway, call it again.
///
/// # Walks
///
/// [`ids`](crate::store::Listing::ids), [`count`](crate::store::Listing::count),
/// [`sweep`](crate::store::Listing::sweep) and [`delete_idle`](crate::store::Listing::delete_idle) scan all keys of the
/// database with `SCAN`, one primary after the other. Give sessions their own database if it would otherwise contain
/// many other keys. A key whose slot moves to another node during a walk can be missed.
///
/// `count` needs about 20 bytes of memory for each session. `sweep` has little to do: the server removes expired
/// sessions itself, and these are not counted as deleted.
///
/// # Runtimes and time limits
///
/// Any number of runtimes can share a store. Each runtime opens its own
/// [`connections`](super::RedisStoreBuilder::connections) to each server when it needs them. The reply to a dropped
/// request is never given to another request. Time limits are enforced in the caller's future. While a server is down,
/// requests fail at once. The store reconnects after pauses that double from 20 ms to 1 s, each shortened by a random
/// part of up to one half.
///
/// # Clusters and Sentinels
///
/// In a cluster, the nodes report which of them has which slots. All requests, including reads, go to primaries, since
/// a replica's data can be out of date. A request that a node refuses because the slot has moved (`MOVED`, `ASK`) is
/// sent to the node that the refusal names.
///
/// While a slot is being moved key by key, the keys of one partition can be on both nodes for a moment (`TRYAGAIN`).
/// Requests for its sessions then wait, up to their time limit. So do requests during the election of a primary
/// (`CLUSTERDOWN`). If the node of a session can't be reached, and the other nodes name no other, its requests fail at
/// once.
///
/// The Sentinels are queried at each attempt to connect. When they have promoted a replica, the store notices it by its
/// connections: the old primary closes them, refuses a write because it is a replica now, or does not answer in time.
///
/// A failover takes as long as the servers need to notice the failure (`cluster-node-timeout`,
/// `down-after-milliseconds`) and to elect another primary. Until then, requests for the failed primary's sessions
/// return errors, never "absent".
///
/// # Unknown outcomes
///
/// If the answer to a write is lost, the write may have happened, or may still happen.
///
/// - An update, a touch, an end and a removal are sent once more. An update has a nonce, drawn before the first request
///   is sent, by which the script recognizes what that request has done. If the first request arrives later, it does
///   nothing.
/// - Taking a lease is sent once more, too. The script recognizes the holder, and extends the lease. If the first
///   request arrives after the lease has been released, it takes the lease again, until the same time. Releasing a
///   lease is not sent again.
/// - A create is read back, since a second one could bring back a session that was removed in between. So is a renewed
///   epoch.
///
/// The error is [`OutcomeUnknown`](crate::store::StoreErrorKind::OutcomeUnknown) if that doesn't settle it: if the
/// second request is not answered either, if another write has come in between, or if nothing is stored any more, so
/// that the store can't tell whether this call or another one has ended the session.
///
/// A replica returns no data: its data may be old, or missing while it copies the primary's. Its refusal, `READONLY`,
/// is an error for reads as well.
///
/// A request that the server refuses (`OOM`, `READONLY`, `NOPERM`, `LOADING`, `CLUSTERDOWN` and so on) has changed
/// nothing. The error is [`Unavailable`](crate::store::StoreErrorKind::Unavailable), and its source says what to do.
///
/// # Time
///
/// A session is absent from its expiry on, by the clock of the calling process or by the server's, whichever is first.
/// So keep the machines' clocks in sync: a process whose clock is a minute fast ends idle sessions a minute early.
/// Times are exact to the millisecond, even after a touch.
///
/// # What eviction and failures can do
///
/// Set `maxmemory-policy noeviction`. A full server then refuses writes, which is an error for requests that change a
/// session. Reads still work, and sessions can still be ended. With any other policy, a full server evicts keys; the
/// store logs a warning about this when it connects:
///
/// | lost | consequence |
/// |---|---|
/// | a session | its visitor is logged out |
/// | an owner's epoch | all sessions of the owner are revoked |
/// | an owner's list | [`list_owner`] and session limits miss its sessions until their next write; revocation doesn't |
/// | a tombstone | the old id is absent, not superseded |
/// | a generation | a write that was in progress during the last `clear` could bring a session back |
///
/// [`list_owner`]: crate::store::Owners::list_owner
///
/// To size a server, allow for the record's size and about 260 bytes more for each session (the head, the key and
/// Redis's own overhead; measured with 7.0), and about 400 bytes for each owner. Without persistence, a restart logs
/// everybody out. With `appendonly yes`, a crash loses up to a second of writes, or none with `appendfsync always`.
///
/// Replication is asynchronous: if a primary fails, the promoted replica may lack the last writes, even though they
/// were acknowledged. A session is then in an older state, **and a logout or a revocation may be undone**.
/// `EncryptedStore` and `CachedStore` don't change that. With the setting
/// [`replicas`](super::RedisStoreBuilder::replicas), each write waits until replicas have confirmed it.
///
/// # Permissions
///
/// The commands and keys that the store's user needs, as for `ACL SETUSER`. It also needs `+select` for a database
/// other than 0, `+client|tracking` with the setting `tracking`, `+cluster|slots +asking` in a cluster, `+role` with
/// Sentinels, and `+wait` with the setting `replicas`. The user for the Sentinels themselves needs `+hello +role
/// +sentinel|masters`.
///
/// ```text
/// ~session:* resetchannels -@all +hello +ping +info +evalsha +eval +get +mget +getrange +set +setrange +pexpireat
/// +pexpiretime +unlink +zadd +zrem +zcard +zrange +zremrangebyscore +zremrangebyrank +scan
/// ```
///
/// `session:` is the prefix. Without `+info`, the store can't warn about an eviction policy.
///
/// # Servers
///
/// Redis 7.0 or later, or Valkey 7.2 or later; the store refuses to connect to an older one. Tested with Redis 7.0 and
/// Valkey 9. The protocol is RESP3.
///
/// # Events
///
/// Target `session_layer::store::redis`.
///
/// | level | event | fields |
/// |---|---|---|
/// | trace | load, refresh | `id`, `found` or `same` |
/// | debug | created, updated, ended, renamed, touch, remove, lock, unlock, closed | `id`, the outcome |
/// | info | not created: the id is taken; not renamed: the new id is taken | `id` |
/// | info | not updated, not ended, not renamed: another version is stored, or the session is gone | `id` |
/// | info | cleared | `cleared`: how many sessions were live |
/// | info | connected | `server`, `kind`, `version`, `role` |
/// | warn | the server evicts sessions when it is full (once per server) | `server`, `policy` |
/// | warn | connection lost | `server`, `reason` |
/// | warn | server down: its sessions are unavailable (once, until it is back) | `server`, `cause` |
/// | warn | no node of the cluster answers | `error` |
/// | warn | failed (an operation) | `id`, `operation`, `error`, `cause` |
/// | warn | not added to its owner's list | `id`, `error` |
/// | error | failed: the stored bytes are not a record | `id`, `operation`, `error`, `cause` |
#[derive(Clone)]
pub struct RedisStore {
    pub(super) inner: Arc<Inner>,
}

/// The state that clones share.
pub(super) struct Inner {
    pub(super) link: Link,
    pub(super) keys: Keys,
    pub(super) options: Options,
    pub(super) listed: Listed,
    pub(super) released: Released,
    /// The owners of sessions that were read or written recently. `None` for a session without an owner.
    pub(super) owners: Recent<Option<SessionId>>,
    /// Owners' epochs, if servers report when they change.
    pub(super) epochs: Recent<KnownEpoch>,
    /// Versions that this process has written, if servers report when they change.
    pub(super) written: Recent<KnownVersion>,
}

/// The settings that are not about connections.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) list_owners: bool,
    pub(super) value_size_limit: usize,
    pub(super) clock: Clock,
}

/// The keys of one id: its value, and its partition's generation.
pub(super) struct Place {
    pub(super) session: String,
    pub(super) generation: String,
}

impl RedisStore {
    pub(super) fn new(link: Link, keys: Keys, options: Options) -> Self {
        let (listed, released) = (Listed::default(), Released::default());
        let (owners, epochs, written) = (Recent::default(), Recent::default(), Recent::default());
        Self { inner: Arc::new(Inner { link, keys, options, listed, released, owners, epochs, written }) }
    }

    /// Returns counts of the store's requests and connections since it was created.
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

    /// Runs a script with these keys and arguments. Every script's first two arguments are added: the time, and the
    /// prefix if the script may use all keys. Only the first key's value may change, and an owner's list.
    pub(super) async fn run(&self, script: &'static Script, keys: &[&str], args: &[&[u8]]) -> Result<Value, LinkError> {
        // However the call ends, even if it is dropped, what this process remembers of this key is out of date.
        let _changing = script.writes().then(|| self.inner.link.changing(&keys[..1]));
        self.answered(script, keys, args, None).await.map(|(reply, _)| reply)
    }

    /// Like [`run`](Self::run), for a script that writes this value. If servers report changes, also reads the head back,
    /// in the same round trip. If it is that of this value, remembers that this process knows the value.
    ///
    /// The server forgets at the write that this connection has read the key, and knows it again from the read on. A
    /// change in between changes the head.
    pub(super) async fn run_and_remember(
        &self,
        script: &'static Script,
        (id, written): (&SessionId, &Written),
        keys: &[&str; 2],
        list: Option<&str>,
        args: &[&[u8]],
    ) -> Result<Value, LinkError> {
        let all = [keys[0], keys[1], list.unwrap_or_default()];
        let all = &all[..2 + usize::from(list.is_some())];
        // A connection that waits for replicas tracks nothing.
        let mark = self.inner.link.mark(keys.map(str::as_bytes)).filter(|_| !self.inner.link.waits_for_replicas());
        let Some(before) = mark else { return self.run(script, all, args).await };
        let changing = self.inner.link.changing(&all[..1]);
        let (reply, connection) = self.answered(script, all, args, Some(STATE_RANGE)).await?;
        drop(changing);
        let Value::Array(mut replies) = reply else { return Ok(reply) };
        let (read, reply) = (replies.pop(), replies.pop().unwrap_or(Value::Nil));
        if let Some(Value::BulkString(read)) = read
            && is_done(&reply)
            && written.is_state(&read)
            && let Some(mark) = self.inner.link.mark_of_own(before)
        {
            self.inner.written.remember(id, KnownVersion { nonce: written.nonce, mark, connection });
        }
        Ok(reply)
    }

    /// Runs a script. Also returns the connection that answered.
    pub(super) async fn answered(
        &self,
        script: &'static Script,
        keys: &[&str],
        args: &[&[u8]],
        read_back: Option<(u8, u8)>,
    ) -> Result<(Value, Connection), LinkError> {
        let now = clock::to_millis(self.now()).to_string();
        let prefix = if self.inner.link.is_one_node() { self.inner.keys.prefix() } else { "" };
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        let mut all = Vec::with_capacity(args.len() + 2);
        all.extend([now.as_bytes(), prefix.as_bytes()]);
        all.extend(args);
        self.inner.link.script(script, &keys, &all, read_back).await
    }
}

impl RedisStore {
    /// Like [`run`](Self::run), with keys that the future owns, all of whose values may change.
    pub(super) async fn run_on(
        &self,
        script: &'static Script,
        keys: Vec<String>,
        args: Vec<&[u8]>,
    ) -> Result<Value, LinkError> {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let _changing = script.writes().then(|| self.inner.link.changing(&keys));
        self.answered(script, &keys, &args, None).await.map(|(reply, _)| reply)
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
