//! Optional capabilities: what some backends can do and others can't.
//!
//! A store that has a capability returns itself from the accessor of that name:
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
//! A wrapper returns **itself**, and calls the inner store's capability from its own implementation. If it returned the
//! inner store's capability, calls would bypass the wrapper: owners' names would not be hashed, and caches not cleared.

use std::{any::type_name, time::Duration};

use async_trait::async_trait;

use super::{Acquire, Cursor, Holder, Idle, ListedSession, Page, StoreError, Swept};
use crate::id::SessionId;

/// Walks through all sessions.
#[async_trait]
pub trait Listing: Send + Sync {
    /// Returns a page of the ids of live sessions: about `limit` of them, beginning at `from`.
    ///
    /// - **I1** A walk from [`Cursor::START`] to the end returns every session that lives throughout the walk at least
    ///   once, whatever else is created and removed. Once nothing more is created, the walk ends.
    /// - **I2** Tombstones, epochs and expired sessions are not returned.
    ///
    /// # Errors
    ///
    /// As [`load`](super::SessionStore::load).
    async fn ids(&self, from: Cursor, limit: usize) -> Result<Page, StoreError>;

    /// Counts the live sessions.
    ///
    /// - **I3** The count is the number of different ids that [`ids`](Self::ids) returns.
    ///
    /// # Errors
    ///
    /// As [`load`](super::SessionStore::load).
    async fn count(&self) -> Result<u64, StoreError>;

    /// Removes expired records to free their space. A record must be absent once it has expired, even without a sweep.
    ///
    /// - **W1** Expired sessions are deleted and counted as deleted; live ones remain and are counted as remaining.
    ///
    /// # Errors
    ///
    /// If the store can't do it.
    async fn sweep(&self) -> Result<Swept, StoreError>;

    /// Removes sessions that have been idle for a given time, and expired ones.
    ///
    /// - **W2** A session is deleted if [`Idle::includes`] it, otherwise it remains. (Touches are throttled, so the
    ///   last use can be later than recorded, by at most the fraction of the idle timeout that the caller gives.)
    ///
    /// # Errors
    ///
    /// If the store can't do it.
    async fn delete_idle(&self, idle: Idle) -> Result<Swept, StoreError>;

    /// The implementing type. The conformance kit uses it to detect a wrapper that returns the inner store's
    /// capability.
    #[doc(hidden)]
    fn implementor(&self) -> &'static str {
        type_name::<Self>()
    }
}

/// Removes everything at once.
#[async_trait]
pub trait Clearing: Send + Sync {
    /// Removes everything: sessions, tombstones and epochs. Returns how many live sessions there were, or 0 if the
    /// store can't count.
    ///
    /// - **I4** Afterwards every id is absent, and no update that was under way brings one back. A rename that was
    ///   under way leaves nothing under its old id, and nothing under its new one.
    ///
    /// # Errors
    ///
    /// If the store can't do it. Sessions may then live on.
    async fn clear(&self) -> Result<u64, StoreError>;

    /// The implementing type. The conformance kit uses it to detect a wrapper that returns the inner store's
    /// capability.
    #[doc(hidden)]
    fn implementor(&self) -> &'static str {
        type_name::<Self>()
    }
}

/// Lists the sessions of an owner.
#[async_trait]
pub trait Owners: Send + Sync {
    /// Returns the live sessions of an owner, including revoked ones: the caller compares the epoch.
    ///
    /// - **O1** Every live session whose record has this owner is listed, and no other.
    ///
    /// # Errors
    ///
    /// As [`load`](super::SessionStore::load).
    async fn list_owner(&self, owner: &str) -> Result<Vec<ListedSession>, StoreError>;

    /// The implementing type. The conformance kit uses it to detect a wrapper that returns the inner store's
    /// capability.
    #[doc(hidden)]
    fn implementor(&self) -> &'static str {
        type_name::<Self>()
    }
}

/// Leases a session to one holder at a time.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease of a session for `holder`, or extends it, for the given time from now.
    ///
    /// - **K1** At most one holder has the lease; any other gets `Held`. If there is no live record, the answer is
    ///   `Absent`.
    /// - **K2** Acquiring a lease gives the record a new version, so that a holder whose lease has run out can't commit
    ///   over the next holder's. Extending one's own lease does not.
    /// - **K3** A lease ends when its time is over, or with its session.
    ///
    /// # Errors
    ///
    /// If the store can't do it.
    async fn acquire(&self, id: &SessionId, holder: Holder, time: Duration) -> Result<Acquire, StoreError>;

    /// Gives a lease back. Returns `true` if this holder had it.
    ///
    /// - **K4** Unlocking a lease that the holder does not have returns `false` and changes nothing.
    ///
    /// # Errors
    ///
    /// If the store can't do it. The lease then ends when its time is over.
    async fn release(&self, id: &SessionId, holder: Holder) -> Result<bool, StoreError>;

    /// Waits until the lease may be free, for at most `at_most`. It may return early: call [`acquire`](Self::acquire) again.
    ///
    /// - **K5** The wait ends soon after the lease is given back, and after `at_most` at the latest. It takes no lease.
    ///
    /// The provided implementation waits for at most 50 milliseconds. A store that can do better wakes the waiter when
    /// the lease is given back.
    async fn released(&self, id: &SessionId, at_most: Duration) {
        let _ = id;
        tokio::time::sleep(at_most.min(LEASE_POLL)).await;
    }

    /// The implementing type. The conformance kit uses it to detect a wrapper that returns the inner store's
    /// capability.
    #[doc(hidden)]
    fn implementor(&self) -> &'static str {
        type_name::<Self>()
    }
}

/// How long the provided [`Leases::released`] waits before the caller tries again.
const LEASE_POLL: Duration = Duration::from_millis(50);

/// Access to the capability that an operation needs, with an error if the store lacks it.
pub(crate) mod require {
    use super::{Clearing, Leases, Listing, Owners};
    use crate::store::{SessionStore, StoreError};

    /// Defines functions that return a store's capability, or an error for the operation that needs it.
    macro_rules! require {
        ($($accessor:ident: $capability:ident;)*) => {
            $(pub(crate) fn $accessor<'a, S: SessionStore>(
                store: &'a S,
                operation: &'static str,
            ) -> Result<&'a dyn $capability, StoreError> {
                store.$accessor().ok_or_else(|| {
                    let why = format!(
                        "the store `{}` does not support `{}` in this configuration; see its documentation",
                        store.name(),
                        stringify!($accessor)
                    );
                    StoreError::unsupported(operation).because(why)
                })
            })*
        };
    }

    require! {
        listing: Listing;
        clearing: Clearing;
        owners: Owners;
        leases: Leases;
    }
}

/// The accessors of a wrapper. It has the capabilities of the inner store, and returns itself for each of them.
macro_rules! own_capabilities {
    ($inner:ident) => {
        fn listing(&self) -> Option<&dyn crate::store::Listing> {
            self.$inner.listing().map(|_| self as _)
        }

        fn clearing(&self) -> Option<&dyn crate::store::Clearing> {
            self.$inner.clearing().map(|_| self as _)
        }

        fn owners(&self) -> Option<&dyn crate::store::Owners> {
            self.$inner.owners().map(|_| self as _)
        }

        fn leases(&self) -> Option<&dyn crate::store::Leases> {
            self.$inner.leases().map(|_| self as _)
        }
    };
}

pub(crate) use own_capabilities;
