//! Decides whether a request is written or withdrawn.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const QUEUED: u8 = 0;
const WRITTEN: u8 = 1;
const WITHDRAWN: u8 = 2;
const ENDED: u8 = 3;

/// Shared by the task that writes a request and the caller that may give up waiting: the first one wins.
///
/// A request that its caller has withdrawn is never written, so a request that was reported as not sent has no later
/// effect. A request that was written can't be withdrawn any more: its outcome is unknown until the reply comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim(Arc<AtomicU8>);

/// The outcome of withdrawing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// It was not written, and now never will be.
    Withdrawn,
    /// It had been withdrawn before.
    Already,
    /// It had been written.
    Written,
}

impl Claim {
    /// Claims the request for writing. Returns `false` if it was withdrawn.
    pub(super) fn write(&self) -> bool {
        self.take(WRITTEN).is_ok()
    }

    /// Claims the request for its caller.
    pub(super) fn withdraw(&self) -> Withdrawal {
        match self.take(WITHDRAWN) {
            Ok(()) => Withdrawal::Withdrawn,
            Err(WRITTEN) => Withdrawal::Written,
            Err(_) => Withdrawal::Already,
        }
    }

    /// Ends the request on the connection, answered or not. Returns `false` if its caller had withdrawn it.
    pub(super) fn end(&self) -> bool {
        self.take(ENDED) != Err(WITHDRAWN)
    }

    fn take(&self, by: u8) -> Result<(), u8> {
        self.0.compare_exchange(QUEUED, by, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_claim_wins() {
        let [written, withdrawn, ended] = std::array::from_fn(|_| Claim::default());
        assert!(written.write() && written.withdraw() == Withdrawal::Written && written.end());
        assert_eq!([withdrawn.withdraw(), withdrawn.withdraw()], [Withdrawal::Withdrawn, Withdrawal::Already]);
        assert!(!withdrawn.write() && !withdrawn.end());
        assert!(ended.end() && !ended.write() && ended.withdraw() == Withdrawal::Already);
    }
}
