//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::id::random_u64;

const FIRST: Duration = Duration::from_millis(20);

/// With a connect limit of a second, a server that is back serves again within two.
const LONGEST: Duration = Duration::from_millis(500);

/// Doubles from 20 ms to half a second, of which a random part up to one half is left out, so that the processes that
/// lost one server do not come back to it in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Jitter is a courtesy: without random numbers there is none.
        let jitter = u32::try_from(random_u64().unwrap_or(0) % 1_024).unwrap_or(0);
        whole - whole / 2 * jitter / 1_024
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_limit_and_starts_again() {
        let mut backoff = Backoff::default();
        for whole in [20, 40, 80, 160, 320, 500, 500] {
            let pause = backoff.next();
            let whole = Duration::from_millis(whole);
            assert!(whole / 2 <= pause && pause <= whole, "{pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
