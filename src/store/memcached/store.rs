//! The store: the state that its clones share.

use std::{fmt, sync::Arc};

use super::{
    client::{Server, ServerSettings, ServerStatistics},
    key::Keys,
    listed::Listed,
    options::Options,
    place::Place,
    ring::Ring,
};
use crate::{
    id::SessionId,
    store::{address::Address, released::Released},
};

/// Memcached's default port.
pub(super) const DEFAULT_PORT: u16 = 11_211;

/// A session store on a cluster of memcached servers, shared by any number of processes. Clones share one store.
///
/// It works for any number of application processes and servers. No update is lost and no session is resurrected: every
/// write of a session is conditional, and an update never creates an item.
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
/// A key's server is determined by the ketama ring that libmemcached builds with `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`
/// at equal weights, so other clients that use it agree. All processes must be given the same servers, spelled alike.
/// If the list changes, the sessions that then belong to another server are lost: if an eleventh server is added to
/// ten, about an eleventh of the sessions. **Remove a server from the list only for good:** if it came back later with
/// old copies, it would bring back sessions that were removed meanwhile. (A server that is restarted is empty and does
/// no harm.) A server that is down is not replaced by a neighbour, for the same reason: its sessions are unavailable
/// until it is back.
///
/// # Round trips
///
/// A load, an update, a create, a refresh, an end and a remove take one round trip each. A session with an owner takes
/// one more for the epoch, and two for the list at its login. A touch takes one if the session already has the time
/// left, otherwise two. A rename takes three, a lock at least three, and an unlock three.
///
/// # Leases
///
/// Memcached doesn't notify clients, so a request that waits for a lease polls it with one small read after each pause.
/// Pauses double from 20 to 160 ms, less a random part of up to one half, and are no longer than the time that the
/// lease has left. So each waiter makes at most 15 reads a second. It notices a release in another process after at
/// most 160 ms and a round trip, and a release in its own process at once. A wait ends at its time limit, at a server
/// error, or after about a second. Then [`acquire`](crate::store::Leases::acquire) must be called to find out whether the
/// session is still there.
///
/// # Runtimes and time limits
///
/// Any number of runtimes can share a store. Each runtime has its own
/// [`connections`](super::MemcachedStoreBuilder::connections) to each server, which are made at its first request. So a
/// runtime that is busy or has ended neither delays the others nor ends their connections. A caller enforces its time
/// limit in its own future, with its own runtime's timer. It gets an answer in time even if the task that owns the
/// connection can't run; the connection is then replaced. The limit includes the wait for a place in the queue, for a
/// connection and for its handshake.
///
/// A request that is still queued at the limit is withdrawn and never sent. The error is
/// [`Timeout`](crate::store::StoreErrorKind::Timeout) or [`Unavailable`](crate::store::StoreErrorKind::Unavailable).
///
/// # What eviction can do
///
/// A full server evicts items within a slab class: a new item replaces only items of about its own size, the least
/// recently used first.
///
/// | lost | consequence |
/// |---|---|
/// | a session | its visitor is logged out |
/// | an owner's epoch | all sessions of the owner are revoked |
/// | an owner's list | `list_owner` returns only sessions that are listed later |
/// | a lease | another holder may take it; the first can't commit then, since the record has a new version |
/// | a tombstone | the old id is absent, not superseded |
/// | a generation | all sessions on that server end |
///
/// After the loss of an owner's list, [`list_owner`](crate::store::Owners::list_owner) and a limit of sessions per
/// owner count only sessions that are listed later. The others live on, and revocation still ends them. No eviction
/// brings a session back.
///
/// **Anonymous sessions don't log out idle users.** An epoch is smaller than any session, lease or list, and no other
/// items are in its slab class. So sessions don't evict it, whatever their size and number. Only the epochs of other
/// owners evict it, starting with the owners that have not been seen for the longest time. This holds for prefixes of
/// at most 100 bytes, memcached's default `-n`, and a growth factor (`-f`) of at most 1.25, its default.
///
/// This is limited by memcached's slab automover. While a full server keeps evicting from one class for half a minute,
/// the automover moves pages to that class from others, including the class of the epochs. It leaves each class two
/// pages: the epochs of 13,000 owners on each server, or of 8,700 with a prefix of more than 26 bytes. With more
/// owners, start memcached with `-o slab_automove=0`, so that no page is moved. (Measured with 1.6.18, `-m 64`, 40,000
/// owners and over 20 million small sessions: by default 13,796 epochs and 1,128 of 10,000 other records were left;
/// without the automover, all of both.)
///
/// To size a server, add up for each session the record's bytes and about 200 more (head, key and memcached's
/// overhead), a third on top for the slabs' rounding, and 152 to 240 bytes for each owner. Watch `evictions` in
/// memcached's `stats`.
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
/// Memcached has no touch that moves the expiry only to later. So a touch reads the time left, and writes only if that
/// is less than the time it is to set. Of two touches at once, the one with the later expiry wins: if the other one is
/// written last, its reply contains the time that it has replaced, which it restores in one more round trip. If its
/// caller goes away before that, the session keeps the earlier expiry. Neither touch deletes a session.
///
/// # Unknown outcomes
///
/// A write that was sent and not answered is never sent again. It is read back: a number that is drawn for each write
/// shows which write stored the item. If that does not settle it, the error is
/// [`OutcomeUnknown`](crate::store::StoreErrorKind::OutcomeUnknown). A delete has no such number. If its reply is lost
/// and the item is gone, a remove counts as done, and an end fails with `OutcomeUnknown`.
///
/// Servers count CAS values from 1 again after a restart. So a CAS value is used only with the incarnation of the
/// server that gave it, which is identified by the server's process id and the second of its start. A version, a lease
/// or an epoch that was read before a restart matches nothing that is stored after it.
///
/// # Servers
///
/// Memcached 1.6.10 and later is supported, but not 1.6.12, whose conditional delete is broken; tested with 1.6.18.
/// Compare-and-swap must be on (no `-C`). Both are checked when a connection is made. Authentication uses `-Y`; SASL
/// (`-S`) is for the binary protocol and is not supported. Unix sockets and TLS (`-Z`, feature `memcached-tls`) work.
/// The store was not run on Windows.
///
/// # Events
///
/// The target of the store's events is `session_layer::store::memcached`.
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

/// The state that clones share.
pub(super) struct Inner {
    pub(super) servers: Box<[Server]>,
    ring: Ring,
    pub(super) keys: Keys,
    pub(super) options: Options,
    pub(super) listed: Listed,
    pub(super) released: Released,
}

impl MemcachedStore {
    pub(super) fn new(addresses: Vec<Address>, settings: Arc<ServerSettings>, keys: Keys, options: Options) -> Self {
        let names: Vec<_> = addresses.iter().map(|address| address.ring_name(DEFAULT_PORT)).collect();
        let servers = addresses.into_iter().map(|address| Server::new(address, Arc::clone(&settings))).collect();
        let (ring, listed, released) = (Ring::new(&names), Listed::default(), Released::default());
        Self { inner: Arc::new(Inner { servers, ring, keys, options, listed, released }) }
    }

    /// Returns the statistics of each server, in the order of the settings.
    #[must_use]
    pub fn statistics(&self) -> Vec<ServerStatistics> {
        self.inner.servers.iter().map(Server::statistics).collect()
    }

    /// Returns the index of a session's server in the list of the settings.
    #[must_use]
    pub fn server_of(&self, id: &SessionId) -> usize {
        self.inner.ring.server(self.inner.keys.record(id).as_bytes())
    }

    /// Returns the place of an id. A session's lease is on the server of the record, and an owner's list on that of the
    /// epoch.
    pub(super) fn place(&self, id: &SessionId) -> Place<'_> {
        let key = self.inner.keys.record(id);
        let server = &self.inner.servers[self.inner.ring.server(key.as_bytes())];
        // An id is a hash, so any of its bytes is evenly distributed.
        Place { server, lane: usize::from(id.as_bytes()[15]), deadline: server.deadline(), key }
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
