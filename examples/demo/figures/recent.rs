//! The durations of the last seconds.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a duration counts.
const WINDOW: Duration = Duration::from_secs(10);
/// The maximum number of durations. If there are more, only the last ones are kept.
const MOST: usize = 8_192;

/// The moment and the duration of each call.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Instant, Duration)>);

impl Recent {
    pub(super) fn add(&mut self, now: Instant, duration: Duration) {
        self.forget(now);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, duration));
    }

    /// Returns these percentiles, or `None` if there are no durations.
    pub(super) fn percentiles<const N: usize>(
        &mut self,
        now: Instant,
        hundredths: [usize; N],
    ) -> Option<[Duration; N]> {
        self.forget(now);
        let mut durations: Vec<_> = self.0.iter().map(|(_, duration)| *duration).collect();
        durations.sort_unstable();
        let last = durations.len().checked_sub(1)?;
        Some(hundredths.map(|hundredths| durations[last * hundredths.min(100) / 100]))
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
            self.0.pop_front();
        }
    }
}
