//! What some backends can do and others can't.
//!
//! A store that has a capability answers itself from the accessor of that name:
//!
//! ```
//! # use session_layer::{SessionId, store::{Clearing, SessionStore, StoreError}};
//! # struct Table;
//! #[async_trait::async_trait]
//! impl Clearing for Table {
//!     async fn clear(&self) -> Result<u64, StoreError> {
//!         Ok(0) // DELETE FROM sessions
//!     }
//! }
//!
//! // In `impl SessionStore for Table`:
//! # trait Accessors {
//! fn clearing(&self) -> Option<&dyn Clearing>;
//! # }
//! # impl Accessors for Table {
//! #     fn clearing(&self) -> Option<&dyn Clearing> { Some(self) }
//! # }
//! ```
//!
//! A wrapper answers **itself**, and asks the inner store's capability in its own implementation. If it answered the inner
//! store's, owners' names would not be hashed and caches not cleared.

use std::time::Duration;

use async_trait::async_trait;

use super::{Cursor, Holder, Idle, Lock, Owned, Page, SessionStore, StoreError, Swept};
use crate::id::SessionId;

/// Walks through all sessions.
#[async_trait]
pub trait Listing: Send + Sync {
    /// The ids of live sessions, a page at a time: about `limit` from `from` on.
    ///
    /// - **I1** Walking from [`Cursor::START`] to the end names every session that lives all the while at least once,
    ///   whatever else is created and removed. Once nothing is created any more, the walk ends.
    /// - **I2** Tombstones, epochs and expired sessions are not named.
    ///
    /// # Errors
    ///
    /// As [`load`](super::SessionStore::load).
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError>;

    /// How many live sessions there are.
    ///
    /// - **I3** It is the number of different ids that [`ids`](Self::ids) names.
    ///
    /// # Errors
    ///
    /// As [`load`](super::SessionStore::load).
    async fn count(&self) -> Result<u64, StoreError>;

    /// Removes what has expired. It must never be needed for a session to be absent, only for its space.
    ///
    /// - **W1** Expired sessions are deleted and counted, live ones remain and are counted.
    ///
    /// # Errors
    ///
    /// If the store can't.
    async fn sweep(&self) -> Result<Swept, StoreError>;

    /// Removes sessions that have been idle for a time, and expired ones.
    ///
    /// - **W2** A session is deleted if [`Idle::includes`] it, and remains if not. (Touches are throttled, so the last
    ///   use can be later than recorded, by at most a fraction of the idle timeout that the caller names.)
    ///
    /// # Errors
    ///
    /// If the store can't.
    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError>;
}

/// Removes everything at once.
#[async_trait]
pub trait Clearing: Send + Sync {
    /// Removes everything: sessions, tombstones and epochs. Returns how many live sessions there were, or 0 if the store
    /// can't count.
    ///
    /// - **I4** Afterwards every id is absent, and no update that was under way brings one back. A rename that was under
    ///   way leaves nothing under its old id and nothing under its new one.
    ///
    /// # Errors
    ///
    /// If the store can't: then sessions may live on.
    async fn clear(&self) -> Result<u64, StoreError>;
}

/// Lists the sessions of an owner.
#[async_trait]
pub trait Owners: Send + Sync {
    /// The live sessions of an owner, revoked ones included: the caller compares the epoch.
    ///
    /// - **O1** Every live session whose record has this owner is listed, and no other.
    ///
    /// # Errors
    ///
    /// As [`load`](super::SessionStore::load).
    async fn list_owner(&self, owner: &str) -> Result<Vec<Owned>, StoreError>;
}

/// Gives a session to one holder at a time.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes or extends the lease of a session for this holder, for this long.
    ///
    /// - **K1** Of two holders at most one has the lease; the other is answered `Held`. What does not exist is `Absent`.
    /// - **K2** Acquiring a lease gives the record a new version, so that a holder whose lease ran out can't commit over
    ///   the next one. Extending one's own does not.
    /// - **K3** A lease ends by itself at its time, and with its session.
    ///
    /// # Errors
    ///
    /// If the store can't.
    async fn lock(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Lock, StoreError>;

    /// Gives a lease back. `true` if this holder had it.
    ///
    /// - **K4** Unlocking what one does not hold is `false` and changes nothing.
    ///
    /// # Errors
    ///
    /// If the store can't: then the lease ends at its time.
    async fn unlock(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError>;

    /// Waits until the lease may be free, at most this long. It may return early: ask [`lock`](Self::lock) again.
    ///
    /// - **K5** It ends soon after the lease is given back, after `at_most` at the latest, and holds nothing.
    ///
    /// The provided form waits a short time; a store that can wakes the waiter when the lease is given back.
    async fn unlocked(&self, id: &SessionId, at_most: Duration) {
        let _ = id;
        tokio::time::sleep(at_most.min(LEASE_POLL)).await;
    }
}

/// How long a waiter for a lease waits before it asks again, where the store can't wake it.
const LEASE_POLL: Duration = Duration::from_millis(50);

/// The capability of a store, or the error of an operation that needs it.
macro_rules! required {
    ($($accessor:ident: $capability:ident;)*) => {
        $(pub(crate) fn $accessor<'a, S: SessionStore>(
            store: &'a S,
            operation: &'static str,
        ) -> Result<&'a dyn $capability, StoreError> {
            store.$accessor().ok_or_else(|| {
                let why = format!(
                    "the store `{}` has no `{}` as it is configured; see its documentation",
                    store.name(),
                    stringify!($accessor)
                );
                StoreError::unsupported(operation).because(why)
            })
        })*
    };
}

required! {
    listing: Listing;
    clearing: Clearing;
    owners: Owners;
    leases: Leases;
}
