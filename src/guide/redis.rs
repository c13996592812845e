//! Running sessions on Redis or Valkey.
//!
//! The documentation of `RedisStore` states what the store guarantees. This guide says what to set up, what to monitor,
//! and what to do when something fails.
//!
//! # Setup
//!
//! | setting of the server | value | reason |
//! |---|---|---|
//! | `maxmemory` | well below the machine's memory | rewriting the append-only file and syncing a replica need room |
//! | `maxmemory-policy` | `noeviction` | otherwise, a full server logs visitors out; the store warns on connecting |
//! | `appendonly` | `yes` | without it, a restart logs everybody out |
//! | `appendfsync` | `everysec`, or `always` | a crash of the machine loses up to a second of writes, or none |
//! | `min-replicas-to-write` | 1, with replicas | an isolated primary refuses logins and logouts that would be lost |
//! | `tracking-table-max-keys` | at least the number of sessions used in an hour | only with the setting `tracking` |
//!
//! - Give sessions their own database, because walks (`count`, `ids`, `delete_idle`) scan all keys of it. If you also
//!   run a cache that evicts, give sessions their own server: `maxmemory-policy` applies to a whole server.
//! - Give the application a user with the permissions that `RedisStore` lists, and no others. Anyone who can read the
//!   server's data can read sessions. Wrap the store in an `EncryptedStore` if the server's operators must not read
//!   them.
//! - Use TLS (`rediss:`, feature `redis-tls`) on any network that is shared with others. Without it, the password and
//!   every session cross the network in plain text.
//! - Keep the machines' clocks in sync (NTP). A session expires by the application's clock or by the server's,
//!   whichever is first.
//!
//! # Memory
//!
//! Each session takes the size of its record and about 260 bytes more, and each owner about 400 bytes. A session of a
//! visitor who never comes back is stored until its idle timeout has passed, so shorter timeouts save memory. Redis
//! removes expired keys itself, so no sweeps are needed.
//!
//! # One server, Sentinel or a cluster
//!
//! | | one server | Sentinel | cluster |
//! |---|---|---|---|
//! | URL | `redis://HOST` | `redis-sentinel://S1,S2,S3/NAME` | `redis-cluster://H1,H2,H3` |
//! | a failed primary | unavailable until it is back | replaced by a replica | replaced by a replica |
//! | loading a session with an owner | one round trip | one round trip | two, or one with `tracking` |
//!
//! A replica replaces a failed primary after `down-after-milliseconds` (Sentinel) or `cluster-node-timeout` (cluster)
//! and an election. Until then, the primary's sessions are unavailable.
//!
//! One server is enough for most sites. With Sentinel, sessions survive the loss of a machine. A cluster is for more
//! sessions than one machine can hold.
//!
//! Replication is asynchronous, so a failover can undo the last writes, including logouts. With the setting
//! `replicas(1)`, each write waits for a replica. This costs each write one round trip between the two servers.
//!
//! # Time limits
//!
//! `request_timeout` (default: 1 s) limits each request of the store, so it is the longest that a page waits to read
//! its session. `connect_timeout` (default: 1 s) limits each attempt to connect. Set both above the longest pause of
//! your servers. A large server pauses for a moment in the `fork` before a snapshot or a rewrite of the append-only
//! file (`INFO stats`: `latest_fork_usec`).
//!
//! # What to monitor
//!
//! | what | where | act when |
//! |---|---|---|
//! | memory | `INFO memory`: `used_memory`, compared with `maxmemory` | above 80 % |
//! | evictions | `INFO stats`: `evicted_keys` | above 0: each may have logged a visitor out |
//! | persistence | `INFO persistence`: `aof_last_write_status` | not `ok` |
//! | replicas | `INFO replication`: `connected_slaves`, and the lag | a replica is missing |
//! | unanswered requests | `RedisStatistics::unanswered` | it grows: the limit is too short, or the server hangs |
//! | unconfirmed writes | `RedisStatistics::not_replicated` | it grows |
//! | lost connections | `RedisStatistics::connections_lost`, event `connection lost` | it grows without restarts |
//! | errors | target `session_layer::store::redis`, levels `warn` and `error` | any |
//!
//! # When something fails
//!
//! - **The server is full** (`OOM command not allowed`). Logins and changes fail with an error; reads and logouts work.
//!   Raise `maxmemory` (`CONFIG SET maxmemory 8gb`), or end sessions that have been idle for a long time with
//!   `Sessions::delete_idle`.
//! - **The server is down.** Requests that need a session fail at once with status 503. Nobody is logged out. When the
//!   server is back, the store reconnects by itself within a second.
//! - **The server has lost its data.** Every visitor is logged out. Nothing else is affected, and nothing needs
//!   cleaning up.
//! - **After a failover**, sessions may be in an older state. If a logout or a password change of the last few seconds
//!   must hold, revoke the owner again with `Sessions::revoke_all`.
//! - **`NOPERM`** names the command that the user may not run. Compare the user's permissions with the list in
//!   `RedisStore`.
//! - **`CROSSSLOT` or `MOVED` in an error**: a cluster was configured as a single server. Use `redis-cluster:`.
//! - **All sessions must end**, for example because a backup has leaked: call `Sessions::end_all`. It also ends
//!   sessions that are in use. Don't use `FLUSHALL`: the store can't tell requests that began before it from later
//!   ones, so a request in progress could bring a session back.
//!
//! # Upgrades and moves
//!
//! Upgrade Redis or Valkey by a failover to a newer replica. The store notices it and reconnects. To move to another
//! server, make it a replica of the old one and wait until it is in sync. Then change the application's URL, and
//! promote the new server.
