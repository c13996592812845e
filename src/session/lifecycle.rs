//! The life of a session: its clocks, owner, renewal and end.

use std::{fmt::Display, sync::Arc, time::SystemTime};

use super::{
    changes::{Change, TokenChange},
    context::Context,
    find::{Follow, Found},
    live::{Live, Origin},
    request_session::RequestSession,
    session::Session,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::SessionId,
    lifetime::Lifetime,
    record::OwnerName,
    store::{DynStore, SessionStore},
};

/// # Without HTTP
impl Session {
    /// Creates an empty session over this store, with the default settings and without a request: for tests and
    /// background jobs.
    ///
    /// [`save`](Self::save) stores it. For a session with a layer's settings, use
    /// [`SessionLayer::new_session`](crate::SessionLayer::new_session).
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        Self::of(RequestSession::detached(Arc::new(Context::over(DynStore::new(store))), Origin::None))
    }

    /// Opens the session with this id, with the default settings and without a request. Returns `None` if no such
    /// session is live.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) if the store can't answer, [`Damaged`](ErrorKind::Damaged) if it can't
    /// open the record.
    pub async fn open(store: impl SessionStore, id: SessionId) -> Result<Option<Self>> {
        Self::open_with(Arc::new(Context::over(DynStore::new(store))), id).await
    }

    pub(crate) async fn open_with(context: Arc<Context>, id: SessionId) -> Result<Option<Self>> {
        match context.find(&id, None, Follow::Link).await? {
            // A caller that knows the id is not a browser with an old token, so its use counts like any other.
            Found::Live(live) => {
                // But if no request has presented the session's new token yet, the job must not appear to have done so.
                let is_forwarded = live.is_unpresented(context.clock.recent());
                let origin = Origin::Live(Live { is_forwarded, ..live });
                Ok(Some(Self::of(RequestSession::detached(context, origin))))
            }
            Found::Superseded { .. } | Found::Absent | Found::Revoked => Ok(None),
        }
    }
}

/// # Identity, owner and lifetime
impl Session {
    /// Returns the id of the session, which is the store's key and safe to log. Returns `None` for a new session that
    /// is not stored yet.
    ///
    /// After [`login`](Self::login) or [`renew`](Self::renew), this is the old id until the change is committed.
    #[must_use]
    #[doc(alias("session_id", "sessionID", "get_session_id"))]
    pub fn id(&self) -> Option<SessionId> {
        self.request.state().live().map(|live| live.id)
    }

    /// Returns `true` if no session is stored for this visitor yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.request.state().live().is_none()
    }

    /// Returns when the absolute clock was started: at creation, and again at each login. `None` for a new session.
    #[must_use]
    pub fn created_at(&self) -> Option<SystemTime> {
        self.request.state().live().map(|live| live.stored.record.created_at())
    }

    /// Returns when the session was last used, as recorded in the store: by the request before this one, as precisely
    /// as throttled touches allow, or by what this request has saved or touched. `None` for a new session.
    #[must_use]
    pub fn last_used_at(&self) -> Option<SystemTime> {
        self.request.state().live().map(|live| live.stored.used_at)
    }

    /// Returns when the session expires if nothing more is written, as recorded in the store. `None` for a new session.
    #[must_use]
    #[doc(alias("expiry", "expiry_date", "expiry_age"))]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.request.state().live().map(|live| live.stored.expires_at)
    }

    /// Returns how long the session lives: the lifetime that this request has set, or else the record's, or else the
    /// layer's default.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.request.state().draft.lifetime().unwrap_or(self.request.settings().lifetime)
    }

    /// Sets how long this session lives ("remember me"), instead of the layer's default.
    ///
    /// The cookie's own expiry is sent only when the session is created or renewed, so call this together with
    /// [`login`](Self::login), before or after it. **Every login starts from the layer's default,** even one that only
    /// confirms the visitor's identity. To keep the lifetime, set it again at each login.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    #[doc(alias("set_expiry", "set_expiration", "max_age", "maxAge", "set_longterm", "remember_me", "session_ttl"))]
    pub fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        let mut state = self.request.state();
        state.require_current()?;
        state.choose_lifetime(lifetime);
        Ok(())
    }

    /// Returns the name of the session's owner, or `None` if nobody is logged in. To compare it, use
    /// [`is_owned_by`](Self::is_owned_by), or `session.owner().as_deref() == Some("bob")`.
    #[must_use]
    #[doc(alias("user", "user_id", "identity"))]
    pub fn owner(&self) -> Option<Arc<str>> {
        self.request.state().draft.owner().cloned()
    }

    /// Returns `true` if the session belongs to this owner. Takes the same types as [`login`](Self::login).
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session};
    /// let session = Session::new(MemoryStore::new());
    /// session.login(42)?;
    /// assert!(session.is_owned_by(42) && session.is_owned_by("42") && !session.is_owned_by("bob"));
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    #[must_use]
    pub fn is_owned_by(&self, owner: impl Display) -> bool {
        // Format before taking the lock: `Display` is the application's code.
        let Ok(owner) = OwnerName::new(owner) else { return false };
        self.request.state().draft.owner().is_some_and(|present| **present == *owner.as_str())
    }

    /// Sets the session's owner. For a login, use [`login`](Self::login) instead.
    ///
    /// A session without an owner keeps its token and its data. **A session that is taken from its owner begins anew:**
    /// its entries and its lifetime are dropped, and the commit gives it a new token and id, so that the next person
    /// finds no data of the previous one. Changes that this request makes afterwards are kept. If another request gives
    /// the session to another owner at the same time, the commit fails with [`Conflict`](ErrorKind::Conflict).
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](ErrorKind::InvalidOwner), [`Superseded`](ErrorKind::Superseded), and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted) if the session needs a new token.
    pub fn set_owner(&self, owner: impl Display) -> Result<()> {
        self.change_owner(Some(named(owner)?))
    }

    /// Takes the session from its owner, with the same effects as when [`set_owner`](Self::set_owner) sets another
    /// owner. It then belongs to nobody. To log somebody out, [`destroy`](Self::destroy) the session.
    ///
    /// # Errors
    ///
    /// Same as for [`set_owner`](Self::set_owner).
    pub fn clear_owner(&self) -> Result<()> {
        self.change_owner(None)
    }

    fn change_owner(&self, owner: Option<Arc<str>>) -> Result<()> {
        let mut state = self.request.state();
        state.require_writable()?;
        if state.draft.changes_owner_to(owner.as_ref()) {
            state.require_settable_cookie()?;
            state.change_token(TokenChange::Handover);
        }
        let lifetime = state.first_lifetime(self.request.settings());
        state.change(Change::Owner(owner, lifetime));
        Ok(())
    }

    /// Keeps this request from extending the session and from renewing its token: for polling, which isn't user
    /// activity.
    ///
    /// [`touch`](Self::touch) does the opposite. The later of the two calls wins.
    pub fn skip_touch(&self) {
        let mut state = self.request.state();
        (state.skip_touch, state.wants_touch) = (true, false);
    }

    /// Extends the session after the handler has answered, even if it was extended recently. A response that saves
    /// nothing (5xx) doesn't extend it either.
    ///
    /// Each request extends the session anyway, within the precision of
    /// [`touch_fraction`](crate::SessionLayerBuilder::touch_fraction), and so does each write. Call this if
    /// [`last_used_at`](Self::last_used_at) must be exact. It costs a touch of the store but no write of the record.
    /// Does nothing for a new session.
    #[doc(alias("keep_alive", "refresh"))]
    pub fn touch(&self) {
        let mut state = self.request.state();
        (state.skip_touch, state.wants_touch) = (false, true);
    }

    /// Extends the session now, even if it was extended recently: for a socket or a stream that is in use but makes no
    /// requests. Does nothing for a new session, which is not stored yet.
    ///
    /// If another request has renewed the session since, this extends the renewed one, for up to an hour after the
    /// renewal. It costs a load and a touch.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone) if the session has ended, [`Superseded`](ErrorKind::Superseded), and the store's
    /// errors.
    pub async fn touch_now(&self) -> Result<()> {
        let live = {
            let state = self.request.state();
            state.require_current()?;
            state.live().cloned()
        };
        let Some(live) = live else { return Ok(()) };
        // Find out where the session is now and whether it is still live. A touch alone would touch a renewal's
        // tombstone, or a revoked session, and report success.
        match self.request.context.find_again(&live, Follow::Link, None).await? {
            Found::Live(now) => self.request.touch_now(now).await,
            Found::Absent | Found::Revoked => Err(Error::session(ErrorKind::Gone, live.id)),
            Found::Superseded { .. } => Err(Error::session(ErrorKind::Superseded, live.id)),
        }
    }
}

/// # Renewal and end
impl Session {
    /// Logs `owner` in. The session gets a new token and id, and both clocks start again, so that a token planted
    /// before the login is worthless (OWASP ASVS 5.0, 7.2.4).
    ///
    /// The entries of an anonymous visitor (the cart) or of the same owner are kept. If the session belongs to another
    /// owner, it starts empty, so that the next person on a shared machine finds no data of the previous one. Entries
    /// that this request inserts after the login are always kept. The lifetime is the layer's default, or the one that
    /// this request [sets](Self::set_lifetime).
    ///
    /// If the request comes with a token from before a [`renew`](Self::renew), the login replaces the renewed session
    /// and ends it.
    ///
    /// The owner's name is whatever identifies the user in the application: a string, a number, a UUID or another id
    /// that implements `Display`. Choose one that stays the same for as long as the user exists.
    ///
    /// ```
    /// # use session_layer::{MemoryStore, Session};
    /// # let session = Session::new(MemoryStore::new());
    /// # let (id, form_name) = (4_711_u64, String::from("ada"));
    /// session.login(&form_name)?;
    /// session.login(id)?;
    /// assert_eq!(session.owner().as_deref(), Some("4711"));
    /// # Ok::<(), session_layer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](ErrorKind::InvalidOwner) unless the name has 1 to 1,024 bytes, and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted) if the response has begun.
    #[doc(alias("cycle_id", "regenerate", "sign_in", "log_in", "authenticate"))]
    pub fn login(&self, owner: impl Display) -> Result<()> {
        let owner = named(owner)?;
        let mut state = self.request.state();
        state.require_settable_cookie()?;
        state.change_token(TokenChange::Login);
        let lifetime = state.first_lifetime(self.request.settings());
        state.change(Change::Login(owner, lifetime));
        Ok(())
    }

    /// Gives the session a new token and id. Its data and its absolute clock stay. Use it when rights change without a
    /// login. A session that is not stored yet gets a new token anyway.
    ///
    /// Parallel requests that come with the old token continue with the renewed session for
    /// [`renewal_grace`](crate::SessionLayerBuilder::renewal_grace). Their changes are merged into it, and they get no
    /// new cookie. If two requests renew at the same time, only one of them sends the new token.
    ///
    /// **This does not protect against session fixation:** an attacker who has planted the old token is led to the new
    /// session as well. When somebody signs in, use [`login`](Self::login), which makes the old token worthless.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded) and [`ResponseStarted`](ErrorKind::ResponseStarted).
    #[doc(alias("cycle_id", "regenerate", "regenerate_id", "rotate"))]
    pub fn renew(&self) -> Result<()> {
        let mut state = self.request.state();
        state.require_current()?;
        state.require_settable_cookie()?;
        state.change_token(TokenChange::Renew);
        Ok(())
    }

    /// Ends the session after the handler has answered, whatever the response is (OWASP ASVS 5.0, 7.4.1). If the end
    /// can't be confirmed, the response is an error.
    ///
    /// A request with a token from before a [`renew`](Self::renew) ends the renewed session. Changes that the request
    /// makes afterwards go into a new session with a new token.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded) if the token is from before a login, and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted) if the response has begun. In that case, use
    /// [`destroy_now`](Self::destroy_now), which still works.
    #[doc(alias("flush", "invalidate", "purge", "logout", "log_out", "sign_out", "forget", "delete"))]
    pub fn destroy(&self) -> Result<()> {
        self.request.state().require_settable_cookie()?;
        self.doom()
    }

    /// Ends the session at once. Returns `true` if it existed.
    ///
    /// The operation runs to completion even if this future is dropped.
    ///
    /// # Errors
    ///
    /// - [`Superseded`](ErrorKind::Superseded) if the token is from before a login.
    /// - [`Unconfirmed`](ErrorKind::Unconfirmed) if the session is not there but may have moved to a new token: this
    ///   request loaded it more than a minute ago, so the tombstone that would lead to it may have expired.
    /// - [`Unavailable`](ErrorKind::Unavailable) and the store's other errors. The session may then live on, and
    ///   **ending it is tried again when the handler has answered**. A logout is never given up: this is the only
    ///   operation that can still take effect after its failure was reported.
    #[doc(alias("flush", "invalidate"))]
    pub async fn destroy_now(&self) -> Result<bool> {
        self.doom()?;
        let request = Arc::clone(&self.request);
        self.request.context.outliving.run_on(async move { request.destroy_doomed().await }).await
    }

    fn doom(&self) -> Result<()> {
        let dropped = {
            let mut state = self.request.state();
            // If a renewal left the tombstone, it leads to the session that the caller means.
            if !matches!(state.origin, Origin::Superseded { is_linked: true, .. }) {
                state.require_current()?;
            }
            state.doom()
        };
        // Drop closures with no lock held: one may hold a clone of this session.
        drop(dropped);
        Ok(())
    }

    /// Commits the changes that this request has made so far. Later reads see what other requests have written in the
    /// meantime, and a later 5xx does not undo the commit.
    ///
    /// The operation runs to completion even if this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone), [`Superseded`](ErrorKind::Superseded), [`Conflict`](ErrorKind::Conflict),
    /// [`Contended`](ErrorKind::Contended), [`TooLarge`](ErrorKind::TooLarge),
    /// [`TooManySessions`](ErrorKind::TooManySessions) at a login, the store's errors, and those of closures that run
    /// again.
    ///
    /// **A change that failed to save does not happen later unless it is requested again.** The changes stay in the
    /// session, so reads still see them and `save` can be tried again. The end of the request writes neither these
    /// changes nor any made after the failure: it drops them and reports
    /// [`ChangesDropped`](crate::EventKind::ChangesDropped). If nothing was changed after the failure, the handler's
    /// response stands. Otherwise that response relies on changes that are missing, so this error replaces it. To take
    /// the changes back and go on writing to the session, use [`discard`](Self::discard).
    ///
    /// After [`OutcomeUnknown`](ErrorKind::OutcomeUnknown), the changes may have been written. Values that were set are
    /// kept for another try. `update` closures are dropped, since they could run on their own result.
    #[doc(alias("commit", "update"))]
    pub async fn save(&self) -> Result<()> {
        let request = Arc::clone(&self.request);
        self.request.context.outliving.run_on(async move { request.save(None).await }).await
    }

    /// Takes back the unsaved changes of this request, including a login or a renewal. A session that this request
    /// destroys still ends.
    ///
    /// After a [`Conflict`](ErrorKind::Conflict), reads see what is stored now, so that a handler can compute its
    /// change again.
    #[doc(alias("rollback", "reset"))]
    pub fn discard(&self) {
        let dropped = self.request.state().discard();
        // Drop the closures with no lock held: one may hold a clone of this session.
        drop(dropped);
    }

    /// Loads the session again, to see what other requests have written in the meantime.
    ///
    /// # Errors
    ///
    /// [`UnsavedChanges`](ErrorKind::UnsavedChanges) if changes would be lost, [`Gone`](ErrorKind::Gone) or
    /// [`Superseded`](ErrorKind::Superseded) if there is nothing to load, and the store's errors.
    #[doc(alias("load"))]
    pub async fn reload(&self) -> Result<()> {
        let (live, revision) = {
            let state = self.request.state();
            if state.is_unsaved() {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            match state.live() {
                Some(live) => (live.clone(), state.revision),
                None => return state.require_current(),
            }
        };
        let now = match self.request.context.find_again(&live, Follow::Forward, None).await? {
            Found::Live(now) => now,
            Found::Absent | Found::Revoked => return Err(Error::session(ErrorKind::Gone, live.id)),
            Found::Superseded { .. } => return Err(Error::session(ErrorKind::Superseded, live.id)),
        };
        let idle = {
            let mut state = self.request.state();
            if state.revision != revision {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            state.newer = Some(Origin::Live(now));
            // Changes that had no effect on the old record must not take effect on the new one.
            state.discard()
        };
        drop(idle);
        Ok(())
    }
}

/// Checks that the name can be an owner's.
fn named(owner: impl Display) -> Result<Arc<str>> {
    Ok(OwnerName::new(owner)?.as_str().into())
}
