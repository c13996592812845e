//! Ends the sessions that a request destroys.

use std::sync::Arc;

use super::{
    end::{Ended, end_seen, must_have_ended},
    live::{Doomed, Origin},
    request_session::RequestSession,
    session::Session,
};
use crate::{
    cookie::Tokens,
    error::{Error, ErrorKind, Result},
    events::EventKind,
    id::SessionId,
};

impl RequestSession {
    pub(super) fn has_doomed(&self) -> bool {
        !self.state().ending.doomed.is_empty()
    }

    /// Ends the doomed sessions now, even if the request has failed otherwise. Returns `true` if one of them existed.
    /// If the store fails, the remaining ones stay doomed.
    pub(crate) async fn destroy_doomed(&self) -> Result<bool> {
        let (mut destroyed, mut failure) = (false, None);
        loop {
            let Some(doomed) = self.state().ending.doomed.last().cloned() else { break };
            let seen = doomed.live.as_ref().map(|live| &live.stored.version);
            let ended = match end_seen(&self.context, &doomed.id, seen).await? {
                Ended::Done(id) => Some(id),
                Ended::Presumed(id) => match self.must_be_over(&doomed) {
                    Ok(()) => Some(id),
                    Err(error) => {
                        failure = Some(error);
                        None
                    }
                },
                Ended::Absent => match self.ended_already(&doomed) {
                    Ok(ended) => ended,
                    Err(error) => {
                        failure = Some(error);
                        None
                    }
                },
                // A login in between has moved the session to a new token, which this request does not know. The
                // tombstone stays, and so does the cookie that the login has set.
                Ended::Superseded => {
                    let error = Error::session(ErrorKind::Superseded, doomed.id);
                    self.context.emit(EventKind::WriteBlocked { id: doomed.id, error: &error });
                    failure = Some(error);
                    None
                }
            };
            let mut state = self.state();
            state.ending.doomed.retain(|other| other.id != doomed.id);
            if let Some(id) = ended {
                state.notes.destroyed = true;
                drop(state);
                destroyed = true;
                self.context.emit(EventKind::Destroyed { id });
            }
        }
        match failure {
            // If one session may live on, ending another does not make up for it.
            Some(error) if !destroyed || error.kind() == ErrorKind::Unconfirmed => Err(error),
            _ => Ok(destroyed),
        }
    }

    /// Handles a doomed session that is absent. Returns its id if this request's handler has ended it, or `None` if
    /// somebody else has.
    fn ended_already(&self, doomed: &Doomed) -> Result<Option<SessionId>> {
        let Some(live) = &doomed.live else { return Ok(None) };
        if self.state().is_ended_beside(live) {
            return Ok(Some(live.id));
        }
        must_have_ended(&self.context, live).map(|()| None)
    }

    /// Fails if the session may have moved to a new token so long ago that no tombstone leads to it any more.
    fn must_be_over(&self, doomed: &Doomed) -> Result<()> {
        match &doomed.live {
            Some(live) => must_have_ended(&self.context, live),
            None => Ok(()),
        }
    }

    /// Ends the sessions that the tokens name, without opening their records.
    pub(crate) async fn destroy_by_tokens(self: &Arc<Self>, tokens: &Tokens) -> Result<bool> {
        let ids = tokens.iter().map(|token| self.context.identify(token).0);
        self.state().ending.doomed.extend(ids.map(|id| Doomed { id, live: None }));
        let request = Arc::clone(self);
        self.context.outliving.run_on(async move { request.destroy_doomed().await }).await
    }
}

/// # End
impl Session {
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
}
