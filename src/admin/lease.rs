//! A lease that is given back when it is dropped.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use super::Sessions;
use crate::{
    clock,
    error::{Error, ErrorKind, Result},
    events::trace,
    id::SessionId,
    session::{Follow, Found, Live, Session, Taken, failed, take_lease},
    store::{Acquire, Holder, require},
};

/// # Leases
impl Sessions {
    /// Takes the lease of a session for this long. Over all processes that share the store, one holder has it at a
    /// time. Returns `None` if another holder has it, or if no such session is live. A store may grant less time: see
    /// [`SessionLease::until`].
    ///
    /// The lease only excludes others that take it. Requests of a layer without
    /// [`exclusive`](crate::SessionLayerBuilder::exclusive) go on as usual, and [`SessionLease::session`] sees what
    /// they save. Ending a session never waits for its lease. If the store
    /// [overwrites](crate::SessionStore::overwrites), such as memcached's with `last_write_wins`, a holder whose lease
    /// ran out overwrites what the next one saved.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) if the store has no leases, [`Entropy`](ErrorKind::Entropy), and the
    /// store's errors.
    pub async fn lease(&self, id: &SessionId, time: Duration) -> Result<Option<SessionLease>> {
        self.lease_within(id, time, Duration::ZERO).await
    }

    /// The same as [`lease`](Self::lease), but if another holder has the lease, waits for it for at most `wait`. There
    /// is no queue: when the lease is given back, any of the waiters may get it.
    ///
    /// # Errors
    ///
    /// The same as [`lease`](Self::lease).
    pub async fn lease_within(&self, id: &SessionId, time: Duration, wait: Duration) -> Result<Option<SessionLease>> {
        let holder = Holder::generate().map_err(|error| Error::session(ErrorKind::Entropy, *id).because(error))?;
        let deadline = clock::deadline(wait);
        // A tombstone or a revoked session can't be leased. If a renewal has moved the session, lease it under its new
        // id.
        let Found::Live(Live { id, .. }) = self.context.find(id, None, Follow::Link).await? else { return Ok(None) };
        let id = &id;
        let mut guard = SessionLease { sessions: self.clone(), id: *id, holder, until: None };
        // If this future is dropped during the store call, the guard gives back the lease that it may have got.
        let may_have = |may: bool| guard.until = may.then_some(SystemTime::UNIX_EPOCH);
        let taken = take_lease(self.store(), id, holder, time, deadline, None, may_have).await?;
        let Taken::Until { until, .. } = taken else { return Ok(None) };
        guard.until = Some(until);
        Ok(Some(guard))
    }

    /// Gives back the lease of this holder, which [`SessionLease::keep`] has returned. Returns `true` if the holder had
    /// it.
    ///
    /// # Errors
    ///
    /// The same as [`lease`](Self::lease).
    pub async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool> {
        require::leases(self.store(), "release")?.release(id, holder).await.map_err(failed("release", id))
    }
}

/// The lease of a session. [`release`](Self::release) gives it back.
///
/// If this is dropped instead, a background task gives the lease back. Outside a tokio runtime, or if the process
/// ends, the lease runs out at its time.
#[must_use = "the lease is given back when this is dropped"]
pub struct SessionLease {
    sessions: Sessions,
    id: SessionId,
    holder: Holder,
    /// `None`: there is nothing to give back.
    until: Option<SystemTime>,
}

impl SessionLease {
    /// Returns the id of the leased session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the time at which the lease runs out, or the Unix epoch after [`extend`](Self::extend) has returned
    /// `false`.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the session as it is now, or `None` if it has ended or was renewed. A renewal moves it to another id,
    /// which this lease does not cover.
    ///
    /// Its changes are never merged. If the session was changed since, by a request without a lease or by the next
    /// holder after this lease ran out, [`Session::save`] fails with [`Conflict`](ErrorKind::Conflict) and writes
    /// nothing. (Taking a lease is such a change.)
    ///
    /// # Errors
    ///
    /// The same as [`Sessions::open`].
    pub async fn session(&self) -> Result<Option<Session>> {
        let context = Arc::new(self.sessions.context.of_a_lease_holder());
        let session = Session::open_with(context, self.id).await?;
        // If a renewal has moved it to another id: the lease is on the old one.
        let session = session.filter(|session| session.id() == Some(self.id));
        Ok(session.inspect(Session::skip_touch))
    }

    /// Extends the lease to this long from now. Returns `false` if it had run out and another holder has it, or if the
    /// session has ended.
    ///
    /// # Errors
    ///
    /// The same as [`Sessions::lease`].
    pub async fn extend(&mut self, time: Duration) -> Result<bool> {
        let locked = match require::leases(self.sessions.store(), "acquire") {
            Ok(leases) => leases.acquire(&self.id, self.holder, time).await,
            Err(error) => Err(error),
        };
        Ok(match locked.map_err(failed("acquire", &self.id))? {
            Acquire::Acquired { until, .. } => {
                self.until = Some(until);
                true
            }
            Acquire::Held | Acquire::Absent => {
                self.until = None;
                false
            }
        })
    }

    /// Gives the lease back. Returns `false` if it had run out, or if the session has ended.
    ///
    /// # Errors
    ///
    /// The same as [`Sessions::lease`]. After an error, the lease runs out at its time.
    pub async fn release(mut self) -> Result<bool> {
        if self.until.is_none() {
            return Ok(false);
        }
        let released = self.sessions.release(&self.id, self.holder).await;
        // Cleared only now: if this future is dropped earlier, `drop` gives the lease back.
        self.until = None;
        released
    }

    /// Keeps the lease, and returns its holder. The lease ends at its time, or by [`Sessions::release`] with this
    /// holder, possibly in another process.
    #[must_use = "only this holder can give the lease back"]
    pub fn keep(mut self) -> Holder {
        self.until = None;
        self.holder
    }
}

impl Drop for SessionLease {
    fn drop(&mut self) {
        let (Some(_), Ok(runtime)) = (self.until.take(), Handle::try_current()) else { return };
        let (sessions, id, holder) = (self.sessions.clone(), self.id, self.holder);
        let operation = sessions.context.outliving.begin();
        runtime.spawn(async move {
            let _operation = operation;
            if let Err(error) = sessions.release(&id, holder).await {
                trace::lease_not_released(&id, &error);
            }
        });
    }
}

impl fmt::Debug for SessionLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLease").field("id", &self.id).field("until", &self.until).finish_non_exhaustive()
    }
}
