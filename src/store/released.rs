//! Who waits for a lease in this process.

use std::time::Duration;

use tokio::{
    sync::{Notify, futures::Notified},
    time::timeout,
};

use crate::id::SessionId;

/// A bell for each of some groups of ids. A wrong ring costs one look.
#[derive(Debug)]
pub(super) struct Released(Box<[Notify]>);

const GROUPS: usize = 64;

impl Default for Released {
    fn default() -> Self {
        Self((0..GROUPS).map(|_| Notify::new()).collect())
    }
}

impl Released {
    /// Wakes those who wait for the lease of this session.
    pub(super) fn ring(&self, id: &SessionId) {
        self.group(id).notify_waiters();
    }

    /// A ring that comes after this was called, whether or not it is awaited yet.
    pub(super) fn next(&self, id: &SessionId) -> Notified<'_> {
        // Its place among the rings is fixed when it is made.
        self.group(id).notified()
    }

    fn group(&self, id: &SessionId) -> &Notify {
        &self.0[usize::from(id.as_bytes()[0]) % GROUPS]
    }
}

/// Waits for the ring, at most this long.
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
