//! The setting that makes requests of one session run one after another.

use std::time::Duration;

use super::SessionLayerBuilder;

/// # One at a time
impl<R> SessionLayerBuilder<R> {
    /// Makes requests of one session run one after another, on all servers that share the store, by leasing the
    /// session. Default: off. Requests then run side by side, and their changes are merged.
    ///
    /// With this setting, a handler can `get`, wait, and `insert` as if it were alone. Each request that extracts a
    /// session costs a second load, and takes a lease and gives it back.
    ///
    /// - **A turn** begins when a request that has a session extracts it. It ends when the request's changes are
    ///   committed, or when the request is dropped. A turn sees what other requests have written before it. A visitor
    ///   without a session has nothing to lease, so two parallel first requests each create a session, as without this
    ///   setting. [`LazySession`](crate::LazySession) begins its turn when it loads the session. The turn of a
    ///   streaming response ends when the response begins.
    /// - **Waiting**: a request that does not get its turn within `wait` is answered 423 with `Retry-After`
    ///   ([`ErrorKind::Locked`](crate::ErrorKind::Locked)). In one process and layer, one request of a session waits
    ///   for the store's lease and at most 32 wait behind it; the next one gets 423 at once. With a `wait` of zero, no
    ///   request waits.
    /// - **Order**: within one process, first come, first served. Between processes there is no order: when a lease is
    ///   given back, the first process to ask gets it. So a process with a long line can keep another one waiting until
    ///   its `wait` is over. Leases taken by [`Sessions::lease`](crate::Sessions::lease) count like any other.
    /// - **Time**: a lease that is not given back, because its process died, ends after
    ///   [`exclusive_lease`](Self::exclusive_lease). A handler that takes longer loses its turn. It goes on, but if
    ///   the next turn has begun, its commit fails with 409 and writes nothing.
    /// - **Conflicts** are refused with 409, whatever [`conflict_policy`](Self::conflict_policy) says. A turn meets a conflict
    ///   only if it took too long, or if something that takes no lease has written: a job with
    ///   [`Sessions::update`](crate::Sessions::update), a revocation of the owner's other sessions, or a layer without
    ///   this setting. If a handler makes such a call itself, it should [`reload`](crate::Session::reload) before it
    ///   changes anything.
    /// - **A logout waits for no turn** if the handler takes a `LazySession` and
    ///   [`destroy`](crate::LazySession::destroy)s it. A handler that extracts a `Session` waits like any other. If the
    ///   session ended, or got a new token at a login, while a request was waiting, the request sees what it would have
    ///   seen had it come later: no session, or a superseded one.
    /// - **Several sessions** in one request (nested layers with different cookie names) are leased in the order in
    ///   which they are extracted. Two requests that extract them in different orders wait for each other until `wait`
    ///   is over. The same happens to a handler that sends a request with its own visitor's cookie to this site.
    ///
    /// [`build`](Self::build) refuses a store without [leases](crate::store::Leases); all stores of this crate have
    /// them. It also refuses a store that [overwrites](crate::SessionStore::overwrites), such as memcached's with its
    /// `last_write_wins`: there, the commit of a handler that took too long would not fail.
    #[must_use]
    pub fn exclusive(mut self, wait: Duration) -> Self {
        self.parts.times.wait = Some(wait);
        self
    }

    /// Sets how long a request's turn can be, with [`exclusive`](Self::exclusive). Default: 30 s; at least 1 ms. It is
    /// not extended while the request runs, so it is also how long a server that has died can block a session. A store
    /// can grant less: the memory store grants at most 30 s, unless its own setting says otherwise.
    #[must_use]
    pub fn exclusive_lease(mut self, time: Duration) -> Self {
        self.parts.times.lease = Some(time);
        self
    }
}
