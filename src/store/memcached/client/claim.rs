//! Whether a request was written or withdrawn.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const QUEUED: u8 = 0;
const WRITTEN: u8 = 1;
const WITHDRAWN: u8 = 2;
const ENDED: u8 = 3;

/// Decides between the task that writes a request and the caller that gives up waiting: whichever comes first.
///
/// A request that its caller has withdrawn is never written, so what was reported as not sent does not happen later. A
/// request that was written can't be withdrawn any more: its outcome is unknown until it is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim(Arc<AtomicU8>);

/// What came of withdrawing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// It was not written, and from now on can't be.
    Withdrawn,
    /// That was so before.
    Already,
    /// It was written.
    Written,
}

impl Claim {
    /// Claims the request for writing. `false` if it was withdrawn.
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

    /// The connection lets go of the request, answered or not. `false` if its caller withdrew it before.
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
    fn whoever_comes_first_has_it() {
        let [written, withdrawn, ended] = std::array::from_fn(|_| Claim::default());
        assert!(written.write() && written.withdraw() == Withdrawal::Written && written.end());
        assert_eq!([withdrawn.withdraw(), withdrawn.withdraw()], [Withdrawal::Withdrawn, Withdrawal::Already]);
        assert!(!withdrawn.write() && !withdrawn.end());
        assert!(ended.end() && !ended.write() && ended.withdraw() == Withdrawal::Already);
    }
}
