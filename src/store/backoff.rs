//! Pauses between attempts.

use std::time::Duration;

use crate::id::random_u64;

/// Exponential backoff: pauses double from the first to the longest. A random part of each pause, up to one half, is
/// left out, so that callers that failed at the same time don't retry at the same time.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    pub(super) fn next(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(10)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        // If there are no random numbers, there is no jitter.
        let jitter = u32::try_from(random_u64().unwrap_or(0) % 1_024).unwrap_or(0);
        whole - whole / 2 / 1_024 * jitter
    }

    #[cfg_attr(
        not(any(feature = "memcached", feature = "redis")),
        allow(dead_code, reason = "of stores with connections of their own")
    )]
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_limit_and_starts_again() {
        let first = Duration::from_millis(20);
        let mut backoff = Backoff::new(first, Duration::from_millis(500));
        for whole in [20, 40, 80, 160, 320, 500, 500] {
            let pause = backoff.next();
            let whole = Duration::from_millis(whole);
            assert!(whole / 2 <= pause && pause <= whole, "{pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= first);
    }

    #[test]
    fn no_pause_overflows() {
        for (first, longest) in
            [(Duration::MAX, Duration::MAX), (Duration::ZERO, Duration::MAX), (Duration::MAX, Duration::ZERO)]
        {
            let mut backoff = Backoff { failures: u32::MAX - 1, ..Backoff::new(first, longest) };
            assert!((0..3).all(|_| backoff.next() <= longest));
        }
    }
}
