//! Asking a store for a lease, again and again until the time to wait is over.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    id::SessionId,
    store::{DynStore, Holder, Lock, StoreError, StoreErrorKind, Stored, capability},
};

/// What came of asking.
#[derive(Debug, Clone)]
pub(crate) enum Taken {
    /// It is ours until then. With the record under the lease, if the store has answered it.
    Until { until: SystemTime, stored: Option<Stored> },
    /// There is nothing to lease.
    Absent,
    /// Another had it all the time.
    Held,
}

/// Takes the lease, and waits for it until the deadline; `freed` wakes it as the store does.
///
/// `may_have` is told whether the lease may be ours: before each time the store is asked, so that whoever is dropped
/// meanwhile knows that it has something to give back, and once the answer says otherwise.
pub(crate) async fn take(
    store: &DynStore,
    id: &SessionId,
    holder: Holder,
    time: Duration,
    deadline: Instant,
    freed: Option<&Notify>,
    mut may_have: impl FnMut(bool),
) -> Result<Taken, StoreError> {
    let leases = capability::leases(store, "lock").map_err(|error| error.on(id))?;
    loop {
        may_have(true);
        match leases.lock(id, holder, time).await {
            Ok(Lock::Acquired { until, stored }) => return Ok(Taken::Until { until, stored }),
            Ok(Lock::Absent) => {
                may_have(false);
                return Ok(Taken::Absent);
            }
            Ok(Lock::Held) => may_have(false),
            Err(error) => {
                if error.kind() == StoreErrorKind::Unsupported {
                    may_have(false);
                }
                return Err(error.during("lock").on(id));
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
        first_of(leases.unlocked(id, left), woken).await;
        // A store may say at once that the lease may be free. Whoever has it must be able to go on.
        tokio::task::yield_now().await;
    }
}

/// Waits for either.
async fn first_of(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    std::future::poll_fn(|cx| {
        let ready = one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
