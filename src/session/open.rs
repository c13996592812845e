//! Sessions without a request.

use std::sync::Arc;

use super::{
    context::Context,
    find::{Follow, Found},
    live::{Live, Origin},
    request_session::RequestSession,
    session::Session,
};
use crate::{
    error::Result,
    id::SessionId,
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
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the store can't answer, [`Damaged`](crate::ErrorKind::Damaged) if it can't
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
