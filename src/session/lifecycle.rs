//! The life of a session: its clocks, its owner, its renewal and its end.

use std::{sync::Arc, time::SystemTime};

use super::{
    changes::{Change, Renewal},
    context::Context,
    find::{Follow, Found},
    live::{Live, Origin},
    shared::{Session, Shared, to_its_end},
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::SessionId,
    lifetime::Lifetime,
    record::{Epoch, Owner},
    store::{DynStore, SessionStore},
};

/// # Without HTTP
impl Session {
    /// An empty session over this store, with the default settings and no request: for tests and background jobs.
    ///
    /// [`save`](Self::save) writes it. For the settings of a layer see
    /// [`SessionLayer::new_session`](crate::SessionLayer::new_session).
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        Self::of(Shared::detached(Arc::new(Context::over(DynStore::new(store))), Origin::None))
    }

    /// The session of this id, with the default settings and no request; `None` if no such session is live.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) if the store can't tell, [`Damaged`](ErrorKind::Damaged) if it can't open
    /// the record.
    pub async fn open(store: impl SessionStore, id: SessionId) -> Result<Option<Self>> {
        Self::open_with(Arc::new(Context::over(DynStore::new(store))), id).await
    }

    pub(crate) async fn open_with(context: Arc<Context>, id: SessionId) -> Result<Option<Self>> {
        match context.find(&id, None, Follow::Link).await? {
            // A caller that knows the id is not a browser with an old token, so its use counts as any other.
            Found::Live(live) => {
                // Unless nobody has come with the session's new token yet: a job must not seem to have.
                let is_forwarded = live.is_unpresented(context.clock.recent());
                let origin = Origin::Live(Live { is_forwarded, ..live });
                Ok(Some(Self::of(Shared::detached(context, origin))))
            }
            Found::Superseded { .. } | Found::Absent | Found::Revoked => Ok(None),
        }
    }
}

/// # What is known of it
impl Session {
    /// The store's key of the session: safe in logs. `None` for a new one that is not stored yet.
    ///
    /// After [`login`](Self::login) or [`renew`](Self::renew) it is the old one until they are committed.
    #[must_use]
    #[doc(alias("session_id", "sessionID", "get_session_id"))]
    pub fn id(&self) -> Option<SessionId> {
        self.shared.state().live().map(|live| live.id)
    }

    /// Whether no session is stored for this visitor yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.shared.state().live().is_none()
    }

    /// When the absolute clock was started: at creation, and anew at each login. `None` for a new session.
    #[must_use]
    pub fn created_at(&self) -> Option<SystemTime> {
        self.shared.state().live().map(|live| live.stored.record.created_at())
    }

    /// Returns when the session was last used, as recorded in the store: by the request before this one, as precisely
    /// as throttled touches allow, or by what this request has saved or touched. `None` for a new session.
    #[must_use]
    pub fn last_used_at(&self) -> Option<SystemTime> {
        self.shared.state().live().map(|live| live.stored.used_at)
    }

    /// Returns when the session expires if nothing more is written, as recorded in the store. `None` for a new session.
    #[must_use]
    #[doc(alias("expiry", "expiry_date", "expiry_age"))]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.shared.state().live().map(|live| live.stored.expires_at)
    }

    /// How long the session lives: what this request set, or what its record says, or the layer's default.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.shared.state().draft.lifetime().unwrap_or(self.shared.settings().lifetime)
    }

    /// Sets how long this session lives ("remember me"), whatever the layer's default.
    ///
    /// A cookie's own expiry is sent when the session is created or renewed, so call this together with
    /// [`login`](Self::login), before or after it. **Every login starts from the layer's default,** even one that only
    /// confirms the visitor's identity. To keep the lifetime, set it again at each login.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    #[doc(alias("set_expiry", "set_expiration", "max_age", "maxAge", "set_longterm", "remember_me", "session_ttl"))]
    pub fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        let mut state = self.shared.state();
        state.not_superseded()?;
        state.choose_lifetime(lifetime);
        Ok(())
    }

    /// Whom the session belongs to.
    #[must_use]
    pub fn owner(&self) -> Option<Arc<str>> {
        self.shared.state().draft.owner().cloned()
    }

    /// Sets the session's owner. At a login, use [`login`](Self::login) instead.
    ///
    /// A session without an owner keeps its token and its data. **A session that is taken from its owner begins anew:**
    /// its entries and its lifetime are dropped, and the commit gives it a new token and id, so that the next person
    /// finds nothing of the last one. What this request writes afterwards is kept. To log somebody out,
    /// [`destroy`](Self::destroy) the session. If another request gives the session to another owner at the same time,
    /// the commit fails with [`Conflict`](ErrorKind::Conflict).
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](ErrorKind::InvalidOwner), [`Superseded`](ErrorKind::Superseded), and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted) if the session needs a new token.
    pub fn set_owner(&self, owner: Option<&str>) -> Result<()> {
        let owner = owner.map(named).transpose()?;
        let mut state = self.shared.state();
        state.writable()?;
        if state.draft.leaves(owner.as_ref()) {
            state.can_set_cookie()?;
            state.renew(Renewal::Leave);
        }
        let lifetime = state.first_lifetime(self.shared.settings());
        state.change(Change::Owner(owner, lifetime));
        Ok(())
    }

    /// Keeps this request from extending the session and from renewing its token: for polling, which isn't user
    /// activity.
    pub fn skip_touch(&self) {
        self.shared.state().skip_touch = true;
    }

    /// Extends the session now, even if it was extended recently: for a socket or a stream that is in use but makes no
    /// requests. Does nothing for a new session, which is not stored yet.
    ///
    /// If another request has renewed the session since, this extends the renewed one, for up to an hour after the renewal.
    /// It costs a load and a touch.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone) if the session has ended, [`Superseded`](ErrorKind::Superseded), and those of the store.
    pub async fn touch(&self) -> Result<()> {
        let live = {
            let state = self.shared.state();
            state.not_superseded()?;
            state.live().cloned()
        };
        let Some(live) = live else { return Ok(()) };
        // Where it is now, and only if it is still live: a touch alone would find the tombstone of a renewal, or a session
        // that was revoked, and say that all is well.
        match self.shared.context.find_again(&live, Follow::Link, None).await? {
            Found::Live(now) => self.shared.touch_now(now).await,
            Found::Absent | Found::Revoked => Err(Error::session(ErrorKind::Gone, live.id)),
            Found::Superseded { .. } => Err(Error::session(ErrorKind::Superseded, live.id)),
        }
    }
}

/// # Renewal and end
impl Session {
    /// Logs `owner` in. The session gets a new token and id, and both clocks start again, so that a token planted
    /// before the login is worth nothing (OWASP ASVS 5.0, 7.2.4).
    ///
    /// The entries of an anonymous visitor (the cart) or of the same owner are kept. Over another owner's session, the
    /// session starts empty, so that the next person on a shared machine finds nothing of the last one. What this
    /// request inserts after the login is always kept. The lifetime is the layer's default, or what this request
    /// [sets](Self::set_lifetime).
    ///
    /// If the request comes with the token from before a [`renew`](Self::renew), the login replaces the renewed session
    /// and ends it.
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](ErrorKind::InvalidOwner) unless the name has 1 to 1,024 bytes, and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted).
    pub fn login(&self, owner: &str) -> Result<()> {
        let owner = named(owner)?;
        let mut state = self.shared.state();
        state.can_set_cookie()?;
        state.renew(Renewal::Login);
        let lifetime = state.first_lifetime(self.shared.settings());
        state.change(Change::Login(owner, lifetime));
        Ok(())
    }

    /// Gives the session a new token and id. Its data and its absolute clock stay. Use it when rights change without a
    /// login. A session that is not stored yet gets a fresh token anyway.
    ///
    /// Parallel requests that come with the old token continue with the renewed session for
    /// [`renewal_grace`](crate::SessionLayerBuilder::renewal_grace). Their changes merge into it, and they get no new
    /// cookie. If two requests renew at once, one hands out the token.
    ///
    /// **This does not protect from session fixation:** an attacker who has planted the old token is led to the new
    /// session as well. When somebody signs in, use [`login`](Self::login), after which the old token is worth nothing.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded) and [`ResponseStarted`](ErrorKind::ResponseStarted).
    #[doc(alias("cycle_id", "regenerate", "regenerate_id", "rotate"))]
    pub fn renew(&self) -> Result<()> {
        let mut state = self.shared.state();
        state.not_superseded()?;
        state.can_set_cookie()?;
        state.renew(Renewal::Renew);
        Ok(())
    }

    /// Ends the session when the handler has answered, whatever the answer is (OWASP ASVS 5.0, 7.4.1). If it can't be
    /// confirmed that the session has ended, the answer is an error.
    ///
    /// A request with the token from before a [`renew`](Self::renew) ends the renewed session. What the request writes
    /// afterwards goes into a new session, with a new token.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded) if the token is from before a login, and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted) if the response has begun. Then
    /// [`destroy_now`](Self::destroy_now) still works.
    #[doc(alias("flush", "invalidate", "purge", "logout", "log_out", "sign_out", "forget", "delete"))]
    pub fn destroy(&self) -> Result<()> {
        self.shared.state().can_set_cookie()?;
        self.doom()
    }

    /// Ends the session at once. Returns `true` if it was there.
    ///
    /// The operation runs to its end even if this future is dropped.
    ///
    /// # Errors
    ///
    /// - [`Superseded`](ErrorKind::Superseded) if the token is from before a login.
    /// - [`Unconfirmed`](ErrorKind::Unconfirmed) if the session is not there but may have moved on to a new token: this
    ///   request loaded it more than a minute ago, so the tombstone that would tell may have expired.
    /// - [`Unavailable`](ErrorKind::Unavailable) and the store's other errors. Then the session may live on, and
    ///   **ending it is tried again when the handler has answered**. A logout is never given up. It is the only
    ///   operation that can still happen after its failure was reported.
    #[doc(alias("flush", "invalidate"))]
    pub async fn destroy_now(&self) -> Result<bool> {
        self.doom()?;
        let shared = Arc::clone(&self.shared);
        to_its_end(async move { shared.destroy_doomed().await }).await
    }

    fn doom(&self) -> Result<()> {
        let dropped = {
            let mut state = self.shared.state();
            // A renewal's tombstone leads to the session that the caller means.
            if !matches!(state.origin, Origin::Superseded { is_linked: true, .. }) {
                state.not_superseded()?;
            }
            state.doom()
        };
        // Dropped with no lock held: a closure may hold a clone of this session.
        drop(dropped);
        Ok(())
    }

    /// Commits now what this request has changed. Later reads see what others wrote meanwhile, and a later 5xx does not
    /// undo the commit.
    ///
    /// The operation runs to its end even if this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone), [`Superseded`](ErrorKind::Superseded), [`Conflict`](ErrorKind::Conflict),
    /// [`Contended`](ErrorKind::Contended), [`TooLarge`](ErrorKind::TooLarge),
    /// [`TooManySessions`](ErrorKind::TooManySessions) at a login, those of the store, and those of closures
    /// that run again.
    ///
    /// **A change that failed to save does not happen later unless it is asked for again.** The changes stay in the
    /// session, so reads still see them and `save` can be tried again. The end of the request writes neither them nor
    /// anything that is changed after the failure: it drops them and reports
    /// [`ChangesDropped`](crate::EventKind::ChangesDropped). If nothing was changed after the failure, the handler's
    /// answer stands. Otherwise the answer relies on changes that are missing, and this error is answered instead. To
    /// take the changes back and go on writing to the session, use [`discard`](Self::discard).
    ///
    /// After [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) the changes may have been written. Values that were set are
    /// kept for another try. `update` closures are not, since they could run on their own result.
    #[doc(alias("commit", "update"))]
    pub async fn save(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        to_its_end(async move { shared.save(None).await }).await
    }

    /// Takes back what this request has changed and not saved, including a login or a renewal. A session that it
    /// destroys is destroyed all the same.
    ///
    /// After a [`Conflict`](ErrorKind::Conflict), reads see what is stored now, so that a handler can compute its
    /// change anew.
    #[doc(alias("rollback", "reset"))]
    pub fn discard(&self) {
        let dropped = self.shared.state().discard();
        // Drop the closures with no lock held: one may hold a clone of this session.
        drop(dropped);
    }

    /// Loads the session anew, to see what others wrote meanwhile.
    ///
    /// # Errors
    ///
    /// [`UnsavedChanges`](ErrorKind::UnsavedChanges) if that would drop changes, [`Gone`](ErrorKind::Gone) or
    /// [`Superseded`](ErrorKind::Superseded) if there is nothing to load, and those of the store.
    #[doc(alias("load"))]
    pub async fn reload(&self) -> Result<()> {
        let (live, revision) = {
            let state = self.shared.state();
            if state.is_unsaved() {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            match state.live() {
                Some(live) => (live.clone(), state.revision),
                None => return state.not_superseded(),
            }
        };
        let now = match self.shared.context.find_again(&live, Follow::Forward, None).await? {
            Found::Live(now) => now,
            Found::Absent | Found::Revoked => return Err(Error::session(ErrorKind::Gone, live.id)),
            Found::Superseded { .. } => return Err(Error::session(ErrorKind::Superseded, live.id)),
        };
        let idle = {
            let mut state = self.shared.state();
            if state.revision != revision {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            state.newer = Some(Origin::Live(now));
            // Changes that came to nothing on the old record are none on the new one.
            state.discard()
        };
        drop(idle);
        Ok(())
    }
}

/// The name, if it can be an owner's.
fn named(owner: &str) -> Result<Arc<str>> {
    let owner = Owner::new(owner, Epoch::from_u64(0));
    let owner = owner.map_err(|error| Error::request(ErrorKind::InvalidOwner).because(error))?;
    Ok(Arc::clone(owner.name()))
}
