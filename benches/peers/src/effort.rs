//! How much is measured.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds of all scenarios with all subjects, in turn: many and short, so that nothing else on the machine came into
    /// the median one.
    pub(crate) rounds: usize,
    /// The same where the rounds are over sessions of several sizes.
    pub(crate) sized_rounds: usize,
    /// Requests whose allocations are counted one by one; the median leaves out the growing of a table.
    pub(crate) counted: usize,
    /// Times of each race.
    pub(crate) races: usize,
    /// Rounds of one and of two threads, in turn, and how long one is.
    pub(crate) thread_rounds: usize,
    pub(crate) thread_round: Duration,
    /// Sessions over which threads and memory are measured by default.
    pub(crate) sessions: usize,
    /// Rounds of load over HTTP.
    pub(crate) load_rounds: usize,
}

const FULL: Effort = Effort {
    rounds: 301,
    sized_rounds: 61,
    counted: 101,
    races: 10,
    thread_rounds: 15,
    thread_round: Duration::from_millis(50),
    sessions: 100_000,
    load_rounds: 3,
};

/// To see that everything works.
const QUICK: Effort = Effort {
    rounds: 3,
    sized_rounds: 3,
    counted: 11,
    races: 1,
    thread_rounds: 3,
    thread_round: Duration::from_millis(2),
    sessions: 1_000,
    load_rounds: 1,
};

impl Effort {
    pub(crate) fn of(quick: bool) -> Self {
        if quick { QUICK } else { FULL }
    }
}
