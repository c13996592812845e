//! Running sessions on Redis or Valkey.
//!
//! The guarantees of the store are in the documentation of `RedisStore`. This page says what to set up, what to watch, and
//! what to do when something fails.
//!
//! # Before the first visitor
//!
//! | setting of the server | value | reason |
//! |---|---|---|
//! | `maxmemory` | well below the machine's memory | a rewrite of the append-only file, and a full synchronization of a replica, need room |
//! | `maxmemory-policy` | `noeviction` | any other logs visitors out when the server is full; the store warns when it connects |
//! | `appendonly` | `yes` | without it, a restart logs everybody out |
//! | `appendfsync` | `everysec`, or `always` | how much a crash of the machine can take: a second, or nothing |
//! | `min-replicas-to-write` | 1, with replicas | a primary that is cut off stops to accept logins and logouts that would be lost |
//! | `tracking-table-max-keys` | at least the sessions in use in an hour | only with the setting `tracking` |
//!
//! - Give sessions a database of their own, or a server of their own if a cache is to be evicted: `maxmemory-policy` holds for
//!   the whole server. Walks (`count`, `ids`, `delete_idle`) go through all keys of the database.
//! - Give the application a user with the permissions that `RedisStore` lists, and nothing else. The bytes of a session are
//!   readable on the server: wrap the store in an `EncryptedStore` if the server's operators must not read them.
//! - Use TLS (`rediss:`, feature `redis-tls`) on any network that others share. Without it, the password and each session
//!   cross the network in clear.
//! - Keep the machines' clocks in step (NTP). A session ends by the application's clock or the server's, whichever is first.
//!
//! # How much memory
//!
//! For each session the bytes of its record and about 260 more, and for each owner about 400. Idle timeouts count: a visitor who never comes back is kept until the idle timeout is over. Redis removes
//! expired keys by itself; there is nothing to sweep.
//!
//! # One server, Sentinel or a cluster
//!
//! | | one server | Sentinel | cluster |
//! |---|---|---|---|
//! | URL | `redis://HOST` | `redis-sentinel://S1,S2,S3/NAME` | `redis-cluster://H1,H2,H3` |
//! | a failed primary | sessions are unavailable until it is back | a replica takes over after `down-after-milliseconds` and an election | the same after `cluster-node-timeout` |
//! | a read of a session with an owner | one round trip | one | two, unless the owner's epoch is on the same node or `tracking` is on |
//!
//! One server is enough for most sites. Sentinel keeps sessions through the loss of
//! a machine. A cluster is for more sessions than one machine can hold.
//!
//! Replication is asynchronous, so a failover can undo the last writes, a logout among them. The setting `replicas(1)` has
//! each write wait for a replica. Its cost is a round trip between the two servers for each write.
//!
//! # Time limits
//!
//! `request_timeout` (default 1 s) bounds each request of the store; `connect_timeout` (1 s) bounds each attempt to connect.
//! A page that reads a session waits at most for the first. Choose them above the longest pause of your servers: the `fork`
//! for a snapshot or a rewrite of the append-only file stops a large one for a moment (`INFO stats`: `latest_fork_usec`).
//!
//! # What to watch
//!
//! | | where | act when |
//! |---|---|---|
//! | memory | `INFO memory`: `used_memory` beside `maxmemory` | above 80 % |
//! | evictions | `INFO stats`: `evicted_keys` | above 0: each one may be a visitor who was logged out |
//! | persistence | `INFO persistence`: `aof_last_write_status` | not `ok` |
//! | replicas | `INFO replication`: `connected_slaves`, the lag | a replica is missing |
//! | unanswered requests | `RedisStatistics::unanswered` | it grows: the limit is too low, or the server stands still |
//! | writes that no replica confirmed | `RedisStatistics::not_replicated` | it grows |
//! | lost connections | `RedisStatistics::connections_lost`, event `connection lost` | it grows without a restart of a server |
//! | errors | target `session_layer::store::redis`, levels `warn` and `error` | any |
//!
//! # When something fails
//!
//! - **The server is full** (`OOM command not allowed`). Logins and changes fail with an error; reads and logouts work. Raise
//!   `maxmemory` (`CONFIG SET maxmemory 8gb`), or end sessions that have been idle for long with `Sessions::delete_idle`.
//! - **The server is down.** Requests that need a session fail at once with 503; nobody is logged out. After the restart the
//!   store connects by itself, within a second.
//! - **The server has lost its data.** Every visitor is logged out; nothing else is wrong. Nothing need be cleaned up.
//! - **After a failover**, sessions can be in an older state. If a logout or a password change of the last seconds must hold,
//!   revoke the owner again: `Sessions::revoke_all`.
//! - **`NOPERM`** names the command that the user lacks. Compare its rights with the list in `RedisStore`.
//! - **`CROSSSLOT` or `MOVED` in an error**: a cluster was given as one server. Use `redis-cluster:`.
//! - **All sessions must go**, after a leak of a backup, say: `Sessions::end_all`. It ends those under way as well. Don't use
//!   `FLUSHALL`: a request under way could then not be told from one after it.
//!
//! # Upgrades and moves
//!
//! Redis and Valkey can be upgraded by a failover to a newer replica. The store notices and connects again. To move to
//! another server, make it a replica of the old one, wait until it is in step, change the application's URL, and promote it.
