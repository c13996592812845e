//! How much is measured.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// The numbers of concurrent tasks and connections.
    pub(crate) crowds: &'static [usize],
    /// The number of rounds of operations, and how long each kind is repeated in one.
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
    /// The same over HTTP.
    pub(crate) loads: usize,
    pub(crate) load: Duration,
}

const FULL: Effort = Effort {
    crowds: &[1, 16, 64, 256],
    rounds: 15,
    round: Duration::from_millis(200),
    loads: 15,
    load: Duration::from_millis(200),
};

/// Just enough to see that everything works.
const QUICK: Effort =
    Effort { crowds: &[1, 4], rounds: 1, round: Duration::from_millis(10), loads: 1, load: Duration::from_millis(20) };

impl Effort {
    pub(crate) fn of(quick: bool) -> Self {
        if quick { QUICK } else { FULL }
    }
}
