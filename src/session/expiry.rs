//! How long a session lives, and what extends it.

use super::{
    find::{Follow, Found},
    session::Session,
};
use crate::{
    error::{Error, ErrorKind, Result},
    lifetime::Lifetime,
};

/// # Lifetime
impl Session {
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
