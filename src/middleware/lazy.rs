//! A session that may not be needed.

use std::sync::Arc;

use super::{SessionRejection, SessionRejectionKind};
use crate::{
    cookie::Tokens,
    error::Error,
    session::{LoadFailure, Session, Shared},
};

/// A session for a handler that may not need one: it is loaded when it is asked for, once.
///
/// ```
/// # use session_layer::{LazySession, SessionRejection};
/// async fn article(lazy: LazySession) -> Result<String, SessionRejection> {
///     if is_free() {
///         return Ok("the text".to_owned()); // costs no load
///     }
///     let session = lazy.session().await?;
///     Ok(format!("the text, for {:?}", session.owner()))
/// }
/// # fn is_free() -> bool { true }
/// ```
#[derive(Debug, Clone)]
pub struct LazySession {
    shared: Arc<Shared>,
    tokens: Arc<Tokens>,
}

impl LazySession {
    pub(super) fn new(shared: Arc<Shared>, tokens: Tokens) -> Self {
        Self { shared, tokens: Arc::new(tokens) }
    }

    /// Whether the request brought a cookie that looks like a session's. It says nothing about whether one is live.
    #[must_use]
    pub fn has_cookie(&self) -> bool {
        self.shared.consult();
        !self.tokens.is_empty()
    }

    /// The session.
    ///
    /// # Errors
    ///
    /// If the store can't tell, the record can't be opened, two live sessions are named, or its turn does not come.
    pub async fn session(&self) -> Result<Session, SessionRejection> {
        load(&self.shared, &self.tokens).await
    }

    /// Ends the session at once, even if its record can't be opened. Returns `true` if there was one.
    ///
    /// If a visitor has the cookies of two live sessions, all other requests are answered 400. This call ends both
    /// sessions, and the answer removes the cookies. So use it for the logout:
    ///
    /// ```
    /// # use session_layer::{Error, LazySession};
    /// async fn sign_out(session: LazySession) -> Result<&'static str, Error> {
    ///     session.destroy().await?;
    ///     Ok("signed out")
    /// }
    /// ```
    ///
    /// If requests of one session run [one after another](crate::SessionLayerBuilder::exclusive), this call does not
    /// wait for its turn. The request whose turn it is can save nothing any more.
    ///
    /// # Errors
    ///
    /// As [`Session::destroy_now`]; [`Unavailable`](crate::ErrorKind::Unavailable) if the store can't tell.
    pub async fn destroy(&self) -> Result<bool, Error> {
        self.shared.consult();
        // The end of a session waits for nobody's turn.
        if self.shared.takes_turns() {
            return self.shared.destroy_unopened(&self.tokens).await;
        }
        match self.session().await {
            Ok(session) => session.destroy_now().await,
            // What can't be opened can still be ended; of two, both are.
            Err(error) if error.kind() != SessionRejectionKind::Unavailable => {
                self.shared.destroy_unopened(&self.tokens).await
            }
            Err(error) => Err(Error::request(crate::error::ErrorKind::Unavailable).because(error)),
        }
    }
}

/// Loads a request's session, and notes if the request is refused because of two live sessions.
pub(super) async fn load(shared: &Arc<Shared>, tokens: &Tokens) -> Result<Session, SessionRejection> {
    let outcome = shared.load(tokens).await;
    if let Err(LoadFailure::TwoSessions) = &outcome {
        shared.state().answer.two_sessions = true;
    }
    outcome?;
    Ok(Session::of(Arc::clone(shared)))
}
