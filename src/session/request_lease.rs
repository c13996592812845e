//! The lease by which the requests of a session run one after another, and the line in which those of this process wait
//! for it.

use std::{fmt, sync::Arc};

use tokio::{runtime::Handle, time::Instant};
use tracing::Instrument;

use super::{
    context::Context,
    queue::Place,
    settings::ExclusiveTimes,
    take_lease::{Taken, take_lease},
};
use crate::{
    events::EventKind,
    id::SessionId,
    store::{Holder, SessionStore, StoreError, StoreErrorKind, Stored},
};

/// A request's lease of its session. [`release`](Self::release) gives it back.
///
/// If it is dropped instead, the lease is released in the background, provided that a tokio runtime is available.
/// Without a runtime, or if the process ends, the lease expires by itself.
pub(crate) struct RequestLease {
    context: Arc<Context>,
    place: Place,
    /// `None` if there is no lease to release.
    holder: Option<Holder>,
}

/// Why a request does not get the lease.
pub(crate) enum Denied {
    /// Other requests had the session for as long as this one could wait, or too many are waiting already.
    Locked,
    /// The store failed, or has no leases.
    Store(StoreError),
}

impl RequestLease {
    /// Waits for the lease of this session until the deadline. Returns the lease, with the record under it if the store
    /// has returned that, or `None` if the session is gone.
    ///
    /// If the future is dropped at any point, it leaves the line and releases a lease that it may have been given.
    pub(crate) async fn take(
        context: &Arc<Context>,
        times: ExclusiveTimes,
        id: SessionId,
        deadline: Instant,
    ) -> Result<Option<(Self, Option<Stored>)>, Denied> {
        let place = context.join_lease_line(id);
        let denied = |reason| {
            context.emit(EventKind::TurnRefused { id, reason });
            Denied::Locked
        };
        let Some(room) = place.room() else { return Err(denied("too many requests are waiting")) };
        let Some(front) = place.front(deadline).await else { return Err(denied("timed out waiting")) };
        let holder = Holder::generate()
            .map_err(|error| Denied::Store(StoreError::new(StoreErrorKind::Other).on(&id).because(error)))?;
        let mut lease = Self { context: Arc::clone(context), place, holder: None };
        // If this is dropped during the call, it releases the lease that the store may have given it.
        let may_have = |may: bool| lease.holder = may.then_some(holder);
        let freed = Some(lease.place.freed());
        match take_lease(&context.store, &id, holder, times.lease, deadline, freed, may_have).await {
            Ok(Taken::Until { stored, .. }) => {
                // From now on, the next in the line asks for the lease. If this lease expires, it must not have to wait
                // for this request.
                drop((front, room));
                Ok(Some((lease, stored)))
            }
            Ok(Taken::Absent) => Ok(None),
            Ok(Taken::Held) => Err(denied("timed out waiting")),
            Err(error) => Err(Denied::Store(error)),
        }
    }

    /// Releases the lease.
    pub(crate) async fn release(mut self) {
        if let Some(holder) = self.holder {
            give_back(&self.context, &self.place, holder).await;
            // Only now: if the future is dropped earlier, `drop` releases the lease.
            self.holder = None;
        }
    }
}

impl Drop for RequestLease {
    fn drop(&mut self) {
        let (Some(holder), Ok(runtime)) = (self.holder.take(), Handle::try_current()) else { return };
        let (context, place) = (Arc::clone(&self.context), self.place.clone());
        let operation = context.outliving.begin();
        let give_back = async move {
            give_back(&context, &place, holder).await;
            drop(operation);
        };
        runtime.spawn(give_back.in_current_span());
    }
}

async fn give_back(context: &Context, place: &Place, holder: Holder) {
    let id = place.id();
    // A store without leases has none to release.
    if let Some(leases) = context.store.leases() {
        let released = match leases.release(&id, holder).await {
            // If the first call arrived, the second changes nothing.
            Err(error) if error.may_have_happened() => leases.release(&id, holder).await,
            outcome => outcome,
        };
        if let Err(error) = released {
            context.emit(EventKind::ReleaseFailed { id, error: &error });
        }
    }
    place.freed().notify_one();
}

impl fmt::Debug for RequestLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLease").field("id", &self.place.id()).finish_non_exhaustive()
    }
}
