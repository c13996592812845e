//! The sessions of a session's owner, from the session itself.

use std::sync::Arc;

use super::{OwnedSession, Sessions};
use crate::{
    error::{Error, ErrorKind, Result},
    id::SessionId,
    record::Owner,
    session::{EndedBeside, Session},
};

/// # The owner's sessions
///
/// The same as the methods of [`Sessions`] with these names, for the owner of this session. All of them fail with
///
/// - [`NoOwner`](ErrorKind::NoOwner) if nobody is logged in,
/// - [`UnsavedChanges`](ErrorKind::UnsavedChanges) after a [`login`](Self::login) in this request
///   ([`save`](Self::save) it first),
/// - [`Superseded`](ErrorKind::Superseded), and the store's errors.
impl Session {
    /// Returns the owner's other live sessions, the most recently used first: a list of devices. See
    /// [`Sessions::of_owner`].
    ///
    /// # Errors
    ///
    /// Those above, and [`Unsupported`](ErrorKind::Unsupported) if the store can't list.
    pub async fn others(&self) -> Result<Vec<OwnedSession>> {
        let (sessions, owner, id) = self.owned()?;
        let mut listed = sessions.of_owner(owner).await?;
        listed.retain(|session| session.id() != id);
        Ok(listed)
    }

    /// Ends the owner's other sessions and keeps this one, for example after a change of password (OWASP ASVS 5.0,
    /// 7.4.3). See [`Sessions::revoke_others`], also for its effect on the rest of this request.
    ///
    /// ```
    /// # use session_layer::{Error, Session};
    /// async fn change_password(session: Session) -> Result<&'static str, Error> {
    ///     // Check the old password and store the new one here.
    ///     session.revoke_others().await?;
    ///     Ok("changed, and signed out everywhere else")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those above, and [`Gone`](ErrorKind::Gone) if this session has ended; nothing was revoked then.
    pub async fn revoke_others(&self) -> Result<()> {
        let (sessions, owner, id) = self.owned()?;
        let is_kept = sessions.revoke_others(owner, &id).await?;
        if is_kept { Ok(()) } else { Err(Error::session(ErrorKind::Gone, id)) }
    }

    /// Ends all sessions of the owner, this one included: "sign out everywhere" (OWASP ASVS 5.0, 7.4.2). The response
    /// removes the cookie. See [`Sessions::revoke_all`].
    ///
    /// # Errors
    ///
    /// Those above. After an error, the sessions may live on.
    #[doc(alias("logout_all", "sign_out_everywhere"))]
    pub async fn revoke_all(&self) -> Result<()> {
        let (sessions, owner, _) = self.owned()?;
        sessions.revoke_all(&owner).await?;
        // Without this, the session would learn of its end only if the request's handler is being polled.
        self.request().has_ended_beside(EndedBeside::Owner { name: owner, kept: None });
        self.destroy_now().await.map(drop)
    }

    /// Returns a handle on all sessions, and the stored owner and id of this one. Fails if the request has changed the
    /// owner and not saved it.
    fn owned(&self) -> Result<(Sessions, Arc<str>, SessionId)> {
        let state = self.request().state();
        state.require_current()?;
        let stored = state.live().and_then(|live| live.stored.record.owner()).map(Owner::name);
        if stored != state.draft.owner() || state.draft.chosen_owner().is_some() {
            return Err(Error::request(ErrorKind::UnsavedChanges));
        }
        let (Some(owner), Some(live)) = (stored, state.live()) else { return Err(Error::request(ErrorKind::NoOwner)) };
        Ok((Sessions::with(Arc::clone(&self.request().context)), Arc::clone(owner), live.id))
    }
}
