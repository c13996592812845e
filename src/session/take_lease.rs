//! Takes a lease from a store, trying again until the time to wait is over.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    id::SessionId,
    store::{Acquire, DynStore, Holder, StoreError, StoreErrorKind, Stored, require},
};

/// The outcome of taking a lease.
#[derive(Debug, Clone)]
pub(crate) enum Taken {
    /// We have the lease until then. Includes the record under the lease, if the store has returned it.
    Until { until: SystemTime, stored: Option<Stored> },
    /// There is nothing to lease.
    Absent,
    /// Another holder had it the whole time.
    Held,
}

/// Takes the lease, waiting for it until the deadline. Both the store and `freed` can end a wait early.
///
/// `may_have` is called with whether the lease may be ours. It is called with `true` before each call of the store, so
/// that a caller that is dropped during the call knows that it may have a lease to release. It is called with `false`
/// if the store's answer rules that out.
pub(crate) async fn take_lease(
    store: &DynStore,
    id: &SessionId,
    holder: Holder,
    time: Duration,
    deadline: Instant,
    freed: Option<&Notify>,
    mut may_have: impl FnMut(bool),
) -> Result<Taken, StoreError> {
    let leases = require::leases(store, "acquire").map_err(|error| error.on(id))?;
    loop {
        may_have(true);
        match leases.acquire(id, holder, time).await {
            Ok(Acquire::Acquired { until, stored }) => return Ok(Taken::Until { until, stored }),
            Ok(Acquire::Absent) => {
                may_have(false);
                return Ok(Taken::Absent);
            }
            Ok(Acquire::Held) => may_have(false),
            Err(error) => {
                if error.kind() == StoreErrorKind::Unsupported {
                    may_have(false);
                }
                return Err(error.during("acquire").on(id));
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Taken::Held);
        }
        let woken = async {
            match freed {
                Some(freed) => freed.notified().await,
                None => std::future::pending().await,
            }
        };
        first_of(leases.released(id, left), woken).await;
        // A store may report at once that the lease may be free. Yield, so that the holder can make progress.
        tokio::task::yield_now().await;
    }
}

/// Waits until one of the futures is ready.
async fn first_of(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    std::future::poll_fn(|cx| {
        let ready = one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
