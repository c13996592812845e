//! A lease that is given back when it is dropped.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use super::{Sessions, TARGET, sessions::failed};
use crate::{
    clock,
    error::{Error, ErrorKind, Result},
    id::SessionId,
    session::{Follow, Found, Live, Session, Taken, take_lease},
    store::{Holder, Lock, required},
};

/// # Leases
impl Sessions {
    /// Takes the lease of a session for this long (a store may grant less: see [`SessionLock::until`]): of all who lock it,
    /// over all processes that share the store, one has it. `None` if another has it, or no such session is live.
    ///
    /// It binds those who lock. Requests of a layer that does not ask for the lease go on as ever; what they save while
    /// it is held is seen by [`SessionLock::session`]. Removing a session never waits for it. Over a store that
    /// [overwrites](crate::SessionStore::overwrites), such as memcached's with last write wins, a holder whose lease ran out
    /// overwrites what the next one saved.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no leases, [`Entropy`](ErrorKind::Entropy), and the
    /// failures of the store.
    pub async fn lock(&self, id: &SessionId, time: Duration) -> Result<Option<SessionLock>> {
        self.lock_within(id, time, Duration::ZERO).await
    }

    /// The same, waiting for the lease of another for at most `wait`. Who waits has no place in a queue: when the lease
    /// is given back, any of them may get it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub async fn lock_within(&self, id: &SessionId, time: Duration, wait: Duration) -> Result<Option<SessionLock>> {
        let holder = Holder::generate().map_err(|error| Error::session(ErrorKind::Entropy, *id).because(error))?;
        let deadline = clock::deadline(wait);
        // A tombstone or a revoked session can't be leased. If a renewal has moved the session, lease it under its new
        // id.
        let Found::Live(Live { id, .. }) = self.context.find(id, None, Follow::Link).await? else { return Ok(None) };
        let id = &id;
        let mut guard = SessionLock { sessions: self.clone(), id: *id, holder, until: None };
        // Dropped while the store is at work, the guard gives back what it may have been given.
        let may_have = |may: bool| guard.until = may.then_some(SystemTime::UNIX_EPOCH);
        let taken = take_lease(self.store(), id, holder, time, deadline, None, may_have).await?;
        let Taken::Until { until, .. } = taken else { return Ok(None) };
        guard.until = Some(until);
        Ok(Some(guard))
    }

    /// Gives back the lease of this holder, which [`SessionLock::keep`] told. `true` if it had it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub async fn unlock(&self, id: &SessionId, holder: Holder) -> Result<bool> {
        required::leases(self.store(), "unlock")?.unlock(id, holder).await.map_err(failed("unlock", id))
    }
}

/// The lease of a session. [`release`](Self::release) gives it back.
///
/// Dropped without that, it is given back in the background where a tokio runtime is at hand; elsewhere, and if the
/// process ends, it runs out at its time.
#[must_use = "the lease is given back when this is dropped"]
pub struct SessionLock {
    sessions: Sessions,
    id: SessionId,
    holder: Holder,
    /// `None`: there is nothing to give back.
    until: Option<SystemTime>,
}

impl SessionLock {
    /// The session that is leased.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// When the lease runs out.
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.until.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The session as it is now; `None` if it has ended, or was renewed: a renewal moves it to another id, which this lease
    /// does not cover.
    ///
    /// What is saved through it never merges: if the session was changed since, by a request that asked for no lease or
    /// by the next holder after this lease ran out, [`Session::save`] is [`Conflict`](ErrorKind::Conflict) and writes
    /// nothing. (Taking a lease is such a change.)
    ///
    /// # Errors
    ///
    /// As [`Sessions::open`].
    pub async fn session(&self) -> Result<Option<Session>> {
        let context = Arc::new(self.sessions.context.of_a_lease_holder());
        let session = Session::open_with(context, self.id).await?;
        // A renewal has moved it to another id, and the lease was that of the old one.
        let session = session.filter(|session| session.id() == Some(self.id));
        Ok(session.inspect(Session::skip_touch))
    }

    /// Extends the lease to this long from now. `false` if it had run out and another has it, or the session has ended.
    ///
    /// # Errors
    ///
    /// As [`Sessions::lock`].
    pub async fn extend(&mut self, time: Duration) -> Result<bool> {
        let locked = match required::leases(self.sessions.store(), "lock") {
            Ok(leases) => leases.lock(&self.id, self.holder, time).await,
            Err(error) => Err(error),
        };
        Ok(match locked.map_err(failed("lock", &self.id))? {
            Lock::Acquired { until, .. } => {
                self.until = Some(until);
                true
            }
            Lock::Held | Lock::Absent => {
                self.until = None;
                false
            }
        })
    }

    /// Gives the lease back. `false` if it had run out, or the session has ended.
    ///
    /// # Errors
    ///
    /// As [`Sessions::lock`]: then it runs out at its time.
    pub async fn release(mut self) -> Result<bool> {
        if self.until.is_none() {
            return Ok(false);
        }
        let released = self.sessions.unlock(&self.id, self.holder).await;
        // Only now: a future that is dropped before leaves it to `drop`.
        self.until = None;
        released
    }

    /// Leaves the lease to its time, or to [`Sessions::unlock`] with this holder, possibly in another process.
    #[must_use = "only this holder can give the lease back"]
    pub fn keep(mut self) -> Holder {
        self.until = None;
        self.holder
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        let (Some(_), Ok(runtime)) = (self.until.take(), Handle::try_current()) else { return };
        let (sessions, id, holder) = (self.sessions.clone(), self.id, self.holder);
        let operation = sessions.context.running.begin();
        runtime.spawn(async move {
            let _operation = operation;
            if let Err(error) = sessions.unlock(&id, holder).await {
                tracing::warn!(target: TARGET, { session.id = %id, %error }, "lease not given back: it runs out at its time");
            }
        });
    }
}

impl fmt::Debug for SessionLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLock").field("id", &self.id).field("until", &self.until).finish_non_exhaustive()
    }
}
