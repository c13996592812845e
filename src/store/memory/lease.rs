//! The lease of one session.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::store::Holder;

/// A time-limited exclusive hold on a session. Dropping it wakes the waiters, whether it was given back or its session
/// was removed, evicted or renamed.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) holder: Holder,
    /// When the lease ends, in milliseconds since the Unix epoch.
    pub(super) until: u64,
    ended: Arc<Notify>,
}

impl Lease {
    pub(super) fn new(holder: Holder, until: u64) -> Box<Self> {
        Box::new(Self { holder, until, ended: Arc::default() })
    }

    /// Completes when the lease ends before its time. Call it under the shard's lock, so that no end is missed.
    pub(super) fn ended(&self) -> tokio::sync::futures::OwnedNotified {
        Arc::clone(&self.ended).notified_owned()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ended.notify_waiters();
    }
}
