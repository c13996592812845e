//! The handle on a store's sessions.

use std::{fmt, sync::Arc};

use crate::{
    clock::Clock,
    error::{Error, Result},
    events::{EventKind, Observer, Observers},
    id::SessionId,
    session::{Caller, Context, Ended, EndedBeside, Follow, Found, Session, Settings, end},
    store::{DynStore, SessionStore, StoreError, observed::observed},
};

/// A handle on the sessions of a store, outside a request: for jobs, operators' pages and command-line tools.
///
/// ```
/// use session_layer::{Key, MemoryStore, Session, SessionLayer};
///
/// const VISITS: Key<u64> = Key::new("visits");
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let layer = SessionLayer::new(MemoryStore::new());
/// # let session = layer.new_session();
/// # session.login("ada")?;
/// # session.save().await?;
/// # let id = session.id().unwrap();
/// let sessions = layer.sessions();
/// // One session, by its id: the closure runs again if a request changed the session meanwhile.
/// let visits = sessions.update(&id, VISITS, |n| { *n += 1; *n }).await?;
/// assert_eq!(visits, Some(1)); // `None`: no such session is live
/// // All sessions of a person.
/// assert_eq!(sessions.of_owner("ada").await?.len(), 1);
/// sessions.revoke_all("ada").await?;
/// assert!(!sessions.contains(&id).await?);
/// # Ok::<(), session_layer::Error>(())
/// # }).unwrap();
/// ```
///
/// If the store can't do something, the method fails with [`Unsupported`](crate::ErrorKind::Unsupported): for example,
/// memcached has no list of all ids. A session that has expired or was revoked is absent, as for a request. For an hour
/// after a [`renew`](Session::renew), the old id leads to the renewed session; after a login, the old id is absent.
///
/// # Like a map
///
/// If the store can list, this handle works like a map from ids to sessions, and each session like a map from keys to
/// values:
///
/// | map operation | on the store | on one session |
/// |---|---|---|
/// | get | [`open`](Self::open) | [`get`](Self::get) |
/// | contains | [`contains`](Self::contains) | |
/// | insert | [`new_session`](crate::SessionLayer::new_session) | [`merge`](Self::merge) |
/// | get or insert, update | | [`get_or_insert`](Self::get_or_insert), [`update`](Self::update) |
/// | remove, take | [`end`](Self::end) | [`take`](Self::take) |
/// | keys, iterate | [`ids`](Self::ids), [`iter`](Self::iter) | |
/// | length | [`count`](Self::count), [`is_empty`](Self::is_empty) | |
/// | clear | [`end_all`](Self::end_all) | |
///
/// A write counts as a use and moves the session's expiry, as in a request. Reading does not.
///
/// Clones are cheap. If the future of a method that ends a session, or an owner's sessions, is dropped, the operation
/// still runs to completion. Operations on the whole store ([`end_all`](Self::end_all),
/// [`delete_idle`](Self::delete_idle)) stop where they are.
#[derive(Clone)]
pub struct Sessions {
    pub(super) context: Arc<Context>,
}

impl Sessions {
    /// Creates a handle on the sessions of this store with the default settings: values as JSON, and the system's
    /// clock. If there is a [`SessionLayer`](crate::SessionLayer), use
    /// [`SessionLayer::sessions`](crate::SessionLayer::sessions), which has the layer's settings.
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        Self::with(Arc::new(Context::over(DynStore::new(store))))
    }

    /// The same as [`new`](Self::new), with an observer. A handle from
    /// [`SessionLayer::sessions`](crate::SessionLayer::sessions) has the layer's observers.
    #[must_use]
    pub fn observed(store: impl SessionStore, observer: impl Observer) -> Self {
        let store = DynStore::new(store);
        let mut observers = Observers::NONE.of(store.name());
        observers.add(observer);
        let store = observed(store, &observers);
        Self::with(Arc::new(Context::new(Settings::default(), store, observers, Clock::system())))
    }

    pub(crate) fn with(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Opens the session with this id, outside a request. Returns `None` if no such session is live. [`Session::save`]
    /// stores its changes.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the store can't tell,
    /// [`Damaged`](crate::ErrorKind::Damaged) if it can't open the record.
    pub async fn open(&self, id: &SessionId) -> Result<Option<Session>> {
        let session = Session::open_with(Arc::clone(&self.context), *id).await?;
        // A job is not user activity, so a session that it only reads is not kept alive.
        Ok(session.inspect(Session::skip_touch))
    }

    /// Returns whether a session with this id is live.
    ///
    /// # Errors
    ///
    /// The same as [`open`](Self::open).
    pub async fn contains(&self, id: &SessionId) -> Result<bool> {
        Ok(matches!(self.context.find(id, None, Follow::Link).await?, Found::Live(_)))
    }

    /// Ends a session in any state, even if its record is damaged. Returns `true` if there was one. For an hour after a
    /// [`renew`](Session::renew), the old id ends the renewed session. The id from before a login ends nothing, and the
    /// result is `false`.
    ///
    /// # Errors
    ///
    /// The store's errors. The session may then live on.
    pub async fn end(&self, id: &SessionId) -> Result<bool> {
        let (context, asked, caller) = (Arc::clone(&self.context), *id, Caller::present());
        let ended = self.context.outliving.run_on(async move {
            let (Ended::Done(id) | Ended::Presumed(id)) = end(&context, &asked).await? else { return Ok(None) };
            context.emit(EventKind::Destroyed { id });
            Ok(Some(id))
        });
        let ended: Result<Option<SessionId>> = ended.await;
        let ended = ended?;
        caller.has_ended(ended.map(|ended| EndedBeside::Session([asked, ended])));
        Ok(ended.is_some())
    }

    pub(super) fn store(&self) -> &DynStore {
        &self.context.store
    }
}

/// Converts a store's error, and names the operation.
pub(super) fn during(operation: &'static str) -> impl FnOnce(StoreError) -> Error {
    move |error| error.during(operation).into()
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("context", &self.context).finish()
    }
}
