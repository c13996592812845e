//! Wakes requests of this process that wait for a lease.

use std::time::Duration;

use tokio::{
    sync::{Notify, futures::Notified},
    time::timeout,
};

use crate::id::SessionId;

/// A bell for each group of ids. A ring for another id of the same group costs a waiter one read.
#[derive(Debug)]
pub(super) struct Released(Box<[Notify]>);

const GROUPS: usize = 64;

impl Default for Released {
    fn default() -> Self {
        Self((0..GROUPS).map(|_| Notify::new()).collect())
    }
}

impl Released {
    /// Wakes the requests that wait for this session's lease.
    pub(super) fn ring(&self, id: &SessionId) {
        self.group(id).notify_waiters();
    }

    /// Wakes all requests that wait for a lease.
    #[cfg_attr(
        not(any(feature = "redis", feature = "postgres", feature = "mysql", feature = "sqlite")),
        allow(dead_code, reason = "of the Redis and SQL stores")
    )]
    pub(super) fn ring_all(&self) {
        self.0.iter().for_each(Notify::notify_waiters);
    }

    /// Returns a future that completes at the next ring after this call, even if it is first polled after the ring.
    pub(super) fn next(&self, id: &SessionId) -> Notified<'_> {
        // `Notified` is woken by every `notify_waiters` after its creation.
        self.group(id).notified()
    }

    fn group(&self, id: &SessionId) -> &Notify {
        &self.0[usize::from(id.as_bytes()[0]) % GROUPS]
    }
}

/// Waits for the ring, at most this long. Returns whether it came.
pub(super) async fn heard(ring: Notified<'_>, at_most: Duration) -> bool {
    timeout(at_most, ring).await.is_ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[tokio::test(start_paused = true)]
    async fn a_ring_wakes_those_of_its_group_also_if_it_comes_before_they_wait() {
        let released = Released::default();
        let (id, other) =
            (SessionId::from_uuid(Uuid::from_bytes([1; 16])), SessionId::from_uuid(Uuid::from_bytes([2; 16])));
        let (before, after) = (released.next(&id), released.next(&other));
        released.ring(&id);
        assert!(heard(before, DAY).await);
        assert!(!heard(after, DAY).await, "another's ring");
        assert!(!heard(released.next(&id), DAY).await, "a ring from before");
    }
}
