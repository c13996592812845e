//! The life of a session: its clocks, its owner, its renewal and its end.

use std::{sync::Arc, time::SystemTime};

use super::{
    Session,
    changes::{Change, Draft},
    handle::{Shared, to_its_end},
    load::{Found, find},
    settings::Settings,
    state::{Live, Origin, Renewal},
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
        Self::of(Shared::detached(Arc::new(Settings::new(DynStore::new(store))), Origin::None))
    }

    /// The session of this id, with the default settings and no request; `None` if no such session is live.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](ErrorKind::Unavailable) if the store can't tell, [`Damaged`](ErrorKind::Damaged) if it can't open
    /// the record.
    pub async fn open(store: impl SessionStore, id: SessionId) -> Result<Option<Self>> {
        Self::open_with(Arc::new(Settings::new(DynStore::new(store))), id).await
    }

    pub(crate) async fn open_with(settings: Arc<Settings>, id: SessionId) -> Result<Option<Self>> {
        match find(&settings, &id, None).await? {
            Found::Live(stored) => {
                let origin = Origin::Live(Live { id, stored });
                Ok(Some(Self::of(Shared::detached(settings, origin))))
            }
            Found::Superseded | Found::Absent => Ok(None),
        }
    }
}

/// # What is known of it
impl Session {
    /// The store's key of the session: safe in logs. `None` for a new one that is not stored yet.
    ///
    /// After [`login`](Self::login) or [`renew`](Self::renew) it is the old one until they are committed.
    #[must_use]
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

    /// When the session was last used, as far as was written: by the request before this one, give or take a throttled
    /// touch. `None` for a new session.
    #[must_use]
    pub fn last_used_at(&self) -> Option<SystemTime> {
        self.shared.state().live().map(|live| live.stored.used_at)
    }

    /// From when on the session is expired if nothing more is written. `None` for a new session.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.shared.state().live().map(|live| live.stored.expires_at)
    }

    /// How long the session lives: what this request set, or what its record says, or the layer's default.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.shared.state().draft.lifetime().unwrap_or(self.shared.settings.lifetime)
    }

    /// Sets how long this session lives ("remember me"), whatever the layer's default.
    ///
    /// A cookie's own expiry is sent when the session is created or renewed, so this belongs beside
    /// [`login`](Self::login).
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded).
    pub fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        let mut state = self.shared.state();
        state.not_superseded()?;
        state.change(Change::Lifetime(lifetime));
        Ok(())
    }

    /// Whom the session belongs to.
    #[must_use]
    pub fn owner(&self) -> Option<Arc<str>> {
        self.shared.state().draft.owner().cloned()
    }

    /// Says whom the session belongs to, without a new token. At a login use [`login`](Self::login).
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](ErrorKind::InvalidOwner), [`Superseded`](ErrorKind::Superseded),
    /// [`ResponseStarted`](ErrorKind::ResponseStarted).
    pub fn set_owner(&self, owner: Option<&str>) -> Result<()> {
        let owner = owner.map(named).transpose()?;
        let mut state = self.shared.state();
        state.writable()?;
        state.change(Change::Owner(owner));
        Ok(())
    }

    /// Does not move the session's expiry for this request: for polling, which is no use by a person.
    pub fn skip_touch(&self) {
        self.shared.state().skip_touch = true;
    }
}

/// # Renewal and end
impl Session {
    /// Logs `owner` in: a new token and id, and both clocks start again, so that a token planted before the login is
    /// worth nothing (OWASP ASVS 5.0, 7.2.4).
    ///
    /// An anonymous visitor's entries are kept (the cart), and the same owner's. Over another owner's session it starts
    /// empty, so that nothing of one person is left to the next on a shared machine. What this request inserts after the
    /// login is kept in any case.
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](ErrorKind::InvalidOwner) unless the name has 1 to 1,024 bytes, and
    /// [`ResponseStarted`](ErrorKind::ResponseStarted).
    pub fn login(&self, owner: &str) -> Result<()> {
        let owner = named(owner)?;
        let mut state = self.shared.state();
        can_set_cookie(state.response_started)?;
        state.renewal = Renewal::Login;
        state.change(Change::Login(owner));
        Ok(())
    }

    /// Gives the session a new token and id; its data and its absolute clock stay. For a change of rights that is no
    /// login. A session that is not stored yet gets a fresh token anyway.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded) and [`ResponseStarted`](ErrorKind::ResponseStarted).
    pub fn renew(&self) -> Result<()> {
        let mut state = self.shared.state();
        state.not_superseded()?;
        can_set_cookie(state.response_started)?;
        state.renewal = state.renewal.max(Renewal::Renew);
        Ok(())
    }

    /// Ends the session when the handler has answered, whatever it answers (OWASP ASVS 5.0, 7.4.1). If the store can't
    /// remove it, the answer is an error.
    ///
    /// What the request writes afterwards goes into a new session, with a new token.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded), and [`ResponseStarted`](ErrorKind::ResponseStarted): then
    /// [`destroy_now`](Self::destroy_now) still works.
    pub fn destroy(&self) -> Result<()> {
        can_set_cookie(self.shared.state().response_started)?;
        self.doom()
    }

    /// Ends the session at once. `true` if it was there.
    ///
    /// It runs to its end even if this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Superseded`](ErrorKind::Superseded), [`Unavailable`](ErrorKind::Unavailable) and other failures of the store:
    /// then the session may live on, and it is tried again when the handler has answered.
    pub async fn destroy_now(&self) -> Result<bool> {
        self.doom()?;
        let shared = Arc::clone(&self.shared);
        to_its_end(async move { shared.destroy_doomed().await }).await
    }

    fn doom(&self) -> Result<()> {
        let (log, draft) = {
            let mut state = self.shared.state();
            state.not_superseded()?;
            if let Origin::Live(live) = &state.origin {
                let id = live.id;
                state.doomed.push(id);
            }
            let damaged = std::mem::take(&mut state.damaged);
            state.doomed.extend(damaged);
            state.ended += 1;
            // A superseded token stays one, also where a login is taken back.
            if state.live().is_some() {
                state.origin = Origin::None;
            }
            state.renewal = Renewal::Keep;
            state.answer.cookie = None;
            state.revision += 1;
            (std::mem::take(&mut state.log), std::mem::replace(&mut state.draft, Draft::new(None)))
        };
        // Dropped with no lock held: a closure may hold a clone of this session.
        drop((log, draft));
        Ok(())
    }

    /// Commits now what this request has changed. Later reads see what others wrote meanwhile, and a later 5xx does not
    /// take it back.
    ///
    /// It runs to its end even if this future is dropped.
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone), [`Superseded`](ErrorKind::Superseded), [`Conflict`](ErrorKind::Conflict),
    /// [`Contended`](ErrorKind::Contended), [`TooLarge`](ErrorKind::TooLarge),
    /// [`TooManySessions`](ErrorKind::TooManySessions) at a login, those of the store, and those of closures
    /// that run again. The changes are kept, so that it can be tried again.
    pub async fn save(&self) -> Result<()> {
        {
            let state = self.shared.state();
            if state.response_started && (state.renews() || (state.live().is_none() && state.draft.is_dirty())) {
                return Err(Error::request(ErrorKind::ResponseStarted));
            }
        }
        let shared = Arc::clone(&self.shared);
        to_its_end(async move { shared.commit().await }).await
    }

    /// Loads the session anew, to see what others wrote meanwhile.
    ///
    /// # Errors
    ///
    /// [`UnsavedChanges`](ErrorKind::UnsavedChanges) if that would drop changes, [`Gone`](ErrorKind::Gone) or
    /// [`Superseded`](ErrorKind::Superseded) if there is nothing to load, and those of the store.
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
        let found = find(&self.shared.settings, &live.id, Some(live.stored.record.check())).await?;
        let stored = match found {
            Found::Live(stored) => stored,
            Found::Absent => return Err(Error::session(ErrorKind::Gone, live.id)),
            Found::Superseded => return Err(Error::session(ErrorKind::Superseded, live.id)),
        };
        let idle = {
            let mut state = self.shared.state();
            if state.revision != revision {
                return Err(Error::request(ErrorKind::UnsavedChanges));
            }
            state.draft = Draft::new(Some(Arc::clone(&stored.record)));
            state.origin = Origin::Live(Live { id: live.id, stored });
            state.revision += 1;
            // Changes that came to nothing on the old record are none on the new one.
            std::mem::take(&mut state.log)
        };
        drop(idle);
        Ok(())
    }
}

fn can_set_cookie(response_started: bool) -> Result<()> {
    if response_started { Err(Error::request(ErrorKind::ResponseStarted)) } else { Ok(()) }
}

/// The name, if it can be an owner's.
fn named(owner: &str) -> Result<Arc<str>> {
    let owner = Owner::new(owner, Epoch::from_u64(0));
    let owner = owner.map_err(|error| Error::request(ErrorKind::InvalidOwner).because(error))?;
    Ok(Arc::clone(owner.name()))
}
