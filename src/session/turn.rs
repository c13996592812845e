//! One request of a session after another: by the store's lease, with a line in front of it in this process.

use std::{fmt, sync::Arc};

use tokio::{runtime::Handle, time::Instant};
use tracing::Instrument;

use super::{
    context::Context,
    lease::{self, Taken},
    queue::Place,
    settings::Exclusive,
};
use crate::{
    events::EventKind,
    id::SessionId,
    store::{Holder, SessionStore, StoreError, StoreErrorKind, Stored},
};

/// A request's turn: the lease of its session. [`end`](Self::end) gives it back.
///
/// Dropped without that, it is given back in the background where a tokio runtime is at hand; elsewhere, and if the
/// process ends, it runs out at its time.
pub(crate) struct Turn {
    context: Arc<Context>,
    place: Place,
    /// `None`: there is nothing to give back.
    holder: Option<Holder>,
}

/// Why a request does not get its turn.
pub(crate) enum Denied {
    /// Others had the session for as long as this one was to wait, or too many wait already.
    Locked,
    /// The store has no leases.
    Unsupported(StoreError),
    Store(StoreError),
}

impl Turn {
    /// Waits for the lease of this session until the deadline. Returns the turn, with the record under the lease if the store
    /// has answered it, or `None` if the session is gone.
    ///
    /// If the future is dropped at any point, it leaves the line and gives back a lease that it may have been given.
    pub(crate) async fn take(
        context: &Arc<Context>,
        exclusive: Exclusive,
        id: SessionId,
        deadline: Instant,
    ) -> Result<Option<(Self, Option<Stored>)>, Denied> {
        let place = context.join_lease_line(id);
        let denied = |reason| {
            context.emit(EventKind::TurnRefused { id, reason });
            Denied::Locked
        };
        let Some(room) = place.room() else { return Err(denied("too many wait")) };
        let Some(front) = place.front(deadline).await else { return Err(denied("waited too long")) };
        let holder = Holder::generate()
            .map_err(|error| Denied::Store(StoreError::new(StoreErrorKind::Other).on(&id).because(error)))?;
        let mut turn = Self { context: Arc::clone(context), place, holder: None };
        // Dropped while the store is at work, it gives back what it may have been given.
        let may_have = |may: bool| turn.holder = may.then_some(holder);
        let freed = Some(turn.place.freed());
        match lease::take(&context.store, &id, holder, exclusive.lease, deadline, freed, may_have).await {
            Ok(Taken::Until { stored, .. }) => {
                // The next one asks from now on: if this lease runs out, it must not wait for its request.
                drop((front, room));
                Ok(Some((turn, stored)))
            }
            Ok(Taken::Absent) => Ok(None),
            Ok(Taken::Held) => Err(denied("waited too long")),
            Err(error) if error.kind() == StoreErrorKind::Unsupported => Err(Denied::Unsupported(error)),
            Err(error) => Err(Denied::Store(error)),
        }
    }

    /// Gives the lease back.
    pub(crate) async fn end(mut self) {
        if let Some(holder) = self.holder {
            give_back(&self.context, &self.place, holder).await;
            // Only now: a future that is dropped before leaves it to `drop`.
            self.holder = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (Some(holder), Ok(runtime)) = (self.holder.take(), Handle::try_current()) else { return };
        let (context, place) = (Arc::clone(&self.context), self.place.clone());
        runtime.spawn(async move { give_back(&context, &place, holder).await }.in_current_span());
    }
}

async fn give_back(context: &Context, place: &Place, holder: Holder) {
    let id = place.id();
    // Without leases there is none to give back.
    if let Some(leases) = context.store.leases() {
        let released = match leases.unlock(&id, holder).await {
            // If the first one arrived, the second changes nothing.
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => leases.unlock(&id, holder).await,
            outcome => outcome,
        };
        if let Err(error) = released {
            context.emit(EventKind::ReleaseFailed { id, error: &error });
        }
    }
    place.freed().notify_one();
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("id", &self.place.id()).finish_non_exhaustive()
    }
}
