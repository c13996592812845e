//! The lease of one session.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::store::Holder;

/// A time-limited exclusive hold. However it ends before its time (given back, session removed, evicted or renamed),
/// dropping it wakes who waits.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) holder: Holder,
    /// From when on it is over, in milliseconds since the Unix epoch.
    pub(super) until: u64,
    ended: Arc<Notify>,
}

impl Lease {
    pub(super) fn new(holder: Holder, until: u64) -> Box<Self> {
        Box::new(Self { holder, until, ended: Arc::default() })
    }

    /// Ready when the lease ends before its time. Made under the shard's lock, so that no end is missed.
    pub(super) fn ended(&self) -> tokio::sync::futures::OwnedNotified {
        Arc::clone(&self.ended).notified_owned()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ended.notify_waiters();
    }
}
