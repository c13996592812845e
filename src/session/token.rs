//! Login and renewal: a new token for a session.

use std::fmt::Display;

use super::{
    changes::{Change, TokenChange},
    owner::named,
    session::Session,
};
use crate::error::Result;

/// # Login and renewal
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
    /// [`InvalidOwner`](crate::ErrorKind::InvalidOwner) unless the name has 1 to 1,024 bytes, and
    /// [`ResponseStarted`](crate::ErrorKind::ResponseStarted) if the response has begun.
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
    /// [`Superseded`](crate::ErrorKind::Superseded) and [`ResponseStarted`](crate::ErrorKind::ResponseStarted).
    #[doc(alias("cycle_id", "regenerate", "regenerate_id", "rotate"))]
    pub fn renew(&self) -> Result<()> {
        let mut state = self.request.state();
        state.require_current()?;
        state.require_settable_cookie()?;
        state.change_token(TokenChange::Renew);
        Ok(())
    }
}
