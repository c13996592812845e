//! A session that is loaded on demand.

use std::{fmt, sync::Arc};

use crate::{
    cookie::Tokens,
    error::{ErrorKind, Result},
    session::{RequestSession, Session},
};

/// A session that is loaded on demand, and at most once, for handlers that may not need it.
///
/// ```
/// # use session_layer::{Error, LazySession};
/// async fn article(lazy: LazySession) -> Result<String, Error> {
///     if is_free() {
///         return Ok("the text".to_owned()); // costs no load
///     }
///     let session = lazy.session().await?;
///     Ok(format!("the text, for {:?}", session.owner()))
/// }
/// # fn is_free() -> bool { true }
/// ```
#[derive(Clone)]
pub struct LazySession {
    request: Arc<RequestSession>,
    tokens: Arc<Tokens>,
    has_cookie: bool,
}

impl LazySession {
    /// Wraps a session that is already loaded, for tests that call a handler.
    ///
    /// ```
    /// # use session_layer::{Error, LazySession, MemoryStore, Session};
    /// # async fn sign_out(session: LazySession) -> Result<&'static str, Error> {
    /// #     session.destroy().await?;
    /// #     Ok("signed out")
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let session = Session::new(MemoryStore::new());
    /// session.login("bob")?;
    /// session.save().await?;
    /// let lazy = LazySession::new(session.clone());
    /// assert!(lazy.has_cookie());
    /// assert_eq!(sign_out(lazy).await?, "signed out");
    /// assert!(session.is_new());
    /// # Ok::<(), Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn new(session: Session) -> Self {
        let has_cookie = !session.is_new();
        Self { request: Arc::clone(session.request()), tokens: Arc::default(), has_cookie }
    }

    pub(super) fn of(request: Arc<RequestSession>, tokens: Tokens) -> Self {
        Self { request, has_cookie: !tokens.is_empty(), tokens: Arc::new(tokens) }
    }

    /// Returns whether the request has a cookie that looks like a session's, which does not mean that the session is
    /// live. For a session in a [test](Self::new), returns whether it is stored.
    #[must_use]
    pub fn has_cookie(&self) -> bool {
        self.request.consult();
        self.has_cookie
    }

    /// Loads the session, if it is not loaded yet, and returns it.
    ///
    /// # Errors
    ///
    /// The same as [`SessionHandle::session`](crate::SessionHandle::session).
    pub async fn session(&self) -> Result<Session> {
        self.request.open(&self.tokens).await
    }

    /// Ends the session at once, even if its record can't be opened. Returns `true` if there was one.
    ///
    /// If a visitor has the cookies of two live sessions, requests that extract a [`Session`] are answered 400. This
    /// call ends both sessions, and the response removes the cookies. So use it for the logout:
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
    /// wait for its turn. The request whose turn it is can't save anything afterwards.
    ///
    /// # Errors
    ///
    /// The same as [`Session::destroy_now`], and [`Unavailable`](crate::ErrorKind::Unavailable) if the store can't tell
    /// whether there is a session.
    pub async fn destroy(&self) -> Result<bool> {
        self.request.consult();
        // Ending a session doesn't wait for its lease.
        if self.request.waits_for_lease() {
            return self.request.destroy_by_tokens(&self.tokens).await;
        }
        match self.session().await {
            Ok(session) => session.destroy_now().await,
            // A record that can't be opened can still be ended. Of two live sessions, both are.
            Err(error) if error.kind() != ErrorKind::Unavailable => self.request.destroy_by_tokens(&self.tokens).await,
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for LazySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LazySession");
        debug.field("has_cookie", &self.has_cookie);
        if self.request.was_asked_for() {
            debug.field("session", &self.request).finish()
        } else {
            debug.finish_non_exhaustive()
        }
    }
}
