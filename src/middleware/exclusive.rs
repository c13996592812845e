//! The setting that lets requests of one session run one after another.

use std::time::Duration;

use super::SessionLayerBuilder;

/// # One at a time
impl<R> SessionLayerBuilder<R> {
    /// Lets requests of one session run one after another, over all servers that share the store, by its lease. Default:
    /// off, and then requests run side by side and their changes are merged.
    ///
    /// A handler can then `get`, wait, and `insert`, as if it were alone. It costs every request that extracts a session
    /// a second load, and taking and giving back the lease.
    ///
    /// - **A turn** begins when a request that has a session extracts it, and ends when its changes are committed, or the
    ///   request is dropped. What other requests wrote before is seen. A visitor without a session has nothing to lease:
    ///   two first requests make a session each, as ever. [`LazySession`](super::LazySession) takes a turn when it is
    ///   asked for the session. A stream's turn is over when its response begins.
    /// - **Waiting**: a request that does not get its turn within `wait` is answered 423 with `Retry-After`
    ///   ([`ErrorKind::Locked`](crate::ErrorKind::Locked)). In one process and layer, one request of
    ///   a session asks the store and at most 32 wait behind it; the next gets 423 at once. With a `wait` of zero nobody
    ///   waits.
    /// - **Order**: within one process, first come, first served. Between processes there is no line: when a lease is given
    ///   back, whoever asks first gets it, so a process with a long line can keep another waiting until its `wait` is
    ///   over. Leases taken by [`Sessions::lock`](crate::Sessions::lock) count as any other.
    /// - **Time**: a lease that is not given back, because its process died, ends after
    ///   [`exclusive_lease`](Self::exclusive_lease). A handler that takes longer loses its turn: it goes on, but if the next
    ///   one has begun, its commit fails with 409 and writes nothing.
    /// - **Conflicts** are refused with 409, whatever [`conflicts`](Self::conflicts) says: a turn meets one only if it
    ///   took too long, or somebody wrote who takes no lease, such as a job with
    ///   [`Sessions::update`](crate::Sessions::update), a revocation of the owner's other sessions, or a layer without
    ///   this setting. Before changing anything after such a call a handler should [`reload`](crate::Session::reload).
    /// - **The end of a session waits for no turn** where the handler asks for a `LazySession` and
    ///   [`destroy`](super::LazySession::destroy)s it; one that extracts a `Session` first waits as any other. A request
    ///   that waited while its session ended, or got a new token by a login, sees what it would have seen had it come
    ///   later: no session, or a superseded one.
    /// - **Several sessions** in one request (layers that nest under different names) are leased in the order in which they
    ///   are extracted. Two requests that extract them in different orders wait for each other until `wait` is over, and
    ///   so does one that sends a request with its own cookie to this site.
    ///
    /// A store without [leases](crate::store::Leases) is refused by [`build`](Self::build); all stores of this crate have them. So
    /// is a store that [overwrites](crate::SessionStore::overwrites), which is memcached's with its `last_write_wins`:
    /// there a handler that took too long would not fail.
    #[must_use]
    pub fn exclusive(mut self, wait: Duration) -> Self {
        self.turns.wait = Some(wait);
        self
    }

    /// How long a request's turn can be, with [`exclusive`](Self::exclusive). Default: 30 s. It is not extended while the
    /// request runs, so it is also how long a server that died can hold a session up. A store can grant less: the memory
    /// store 30 s, unless its own setting says otherwise.
    #[must_use]
    pub fn exclusive_lease(mut self, time: Duration) -> Self {
        self.turns.lease = Some(time);
        self
    }
}
