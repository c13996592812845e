//! One blocking call: the caller, the thread that works for it, and who of them may still decide.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::{
    runtime::Handle,
    task::JoinError,
    time::{Instant, timeout_at},
};

use crate::store::{StoreError, StoreErrorKind};

/// The caller's half of a call. Caller and thread share a state: after the caller has gone, or has reported a timeout,
/// the thread changes nothing.
#[derive(Debug)]
struct Caller(Arc<AtomicU8>);

/// The thread's half of a call.
#[derive(Debug)]
pub(super) struct Claim(Arc<AtomicU8>);

const WAITING: u8 = 0;
const CHANGING: u8 = 1;
const GONE: u8 = 2;

impl Caller {
    fn new() -> (Self, Claim) {
        let state = Arc::new(AtomicU8::new(WAITING));
        (Self(Arc::clone(&state)), Claim(state))
    }

    /// Gives up. Returns `true` if the thread has not begun to change anything, and never will.
    fn leave(&self) -> bool {
        let left = self.0.compare_exchange(WAITING, GONE, Ordering::AcqRel, Ordering::Acquire);
        left.is_ok() || left == Err(GONE)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Claim {
    /// Begins the change. Returns `false` if the caller has given up: then nothing may be changed.
    pub(super) fn begin(&self) -> bool {
        self.0.compare_exchange(WAITING, CHANGING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire) != GONE
    }
}

/// Runs a call on a blocking thread of the caller's runtime, and waits for it until this time.
pub(super) async fn run<T: Send + 'static>(
    until: Instant,
    work: impl FnOnce(&Claim) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(runtime) = Handle::try_current() else {
        let error = StoreError::new(StoreErrorKind::Unavailable);
        return Err(error.because("the file store was called outside of a tokio runtime"));
    };
    let (caller, claim) = Caller::new();
    let task = runtime.spawn_blocking(move || claim.is_wanted().then(|| work(&claim)));
    match timeout_at(until, task).await {
        Ok(Ok(Some(outcome))) => Ok(outcome),
        Ok(Ok(None)) => Err(in_time()),
        Ok(Err(error)) => Err(ended(error, &caller)),
        Err(_) if caller.leave() => Err(in_time()),
        Err(_) => Err(StoreError::new(StoreErrorKind::OutcomeUnknown)
            .because("the disk has not answered in time: the change may still happen")),
    }
}

/// The error if the time limit has passed, and nothing was or will be changed.
pub(super) fn in_time() -> StoreError {
    StoreError::new(StoreErrorKind::Timeout)
        .because("no blocking thread was free in time, or the disk did not answer; check whether the disk is stalled")
}

/// Returns the error for a call that panicked or whose runtime is shutting down.
fn ended(error: JoinError, caller: &Caller) -> StoreError {
    let kind = match caller.leave() {
        true if error.is_cancelled() => StoreErrorKind::Unavailable,
        true => StoreErrorKind::Other,
        false => StoreErrorKind::OutcomeUnknown,
    };
    StoreError::new(kind).because(error)
}
