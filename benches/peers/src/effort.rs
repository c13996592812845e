//! The amount of work in a measurement.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// The rounds of all scenarios with all subjects, in turn: many and short, so that nothing else on the machine
    /// affects the median.
    pub(crate) rounds: usize,
    /// The same for rounds over sessions of several sizes.
    pub(crate) sized_rounds: usize,
    /// The number of requests whose allocations are counted one by one. The median leaves out the growth of a table.
    pub(crate) counted: usize,
    /// How often each race runs.
    pub(crate) races: usize,
    /// The number of rounds of one and of two threads, in turn, and the length of a round.
    pub(crate) thread_rounds: usize,
    pub(crate) thread_round: Duration,
    /// The default number of sessions over which threads and memory are measured.
    pub(crate) sessions: usize,
    /// The number of rounds of load over HTTP.
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

/// Just enough to check that everything works.
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
