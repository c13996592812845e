//! The owner of a session.

use std::{fmt::Display, sync::Arc};

use super::{
    changes::{Change, TokenChange},
    session::Session,
};
use crate::{error::Result, record::OwnerName};

/// # Owner
impl Session {
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
    /// the session to another owner at the same time, the commit fails with [`Conflict`](crate::ErrorKind::Conflict).
    ///
    /// # Errors
    ///
    /// [`InvalidOwner`](crate::ErrorKind::InvalidOwner), [`Superseded`](crate::ErrorKind::Superseded), and
    /// [`ResponseStarted`](crate::ErrorKind::ResponseStarted) if the session needs a new token.
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
}

/// Checks that the name can be an owner's, and returns it.
pub(super) fn named(owner: impl Display) -> Result<Arc<str>> {
    Ok(OwnerName::new(owner)?.as_str().into())
}
