//! The budgets of this crate, and its actual costs.

use serde::Serialize;

use super::costs::Costs;
use crate::{
    memory::Memory,
    scenario::{self, Scenario},
    shape::Shape::Reference,
    subjects::Kind,
    threads::Rate,
};

#[derive(Debug, Serialize)]
pub(super) struct Budget {
    pub(super) what: String,
    pub(super) measured: String,
    pub(super) budget: String,
    pub(super) met: bool,
}

/// The maximum number of resident bytes of a reference session.
const MOST_BYTES: f64 = 1_300.0;
/// The minimum throughput of two threads, as a multiple of one thread's.
const LEAST_GAIN: f64 = 1.5;

pub(super) fn budgets(costs: &Costs, memory: &[Memory], threads: &[Rate]) -> Vec<Budget> {
    let mut all = Vec::new();
    for scenario in scenario::ALL {
        all.extend(time(costs, scenario));
        all.extend(allocations(costs, scenario));
    }
    all.extend(memory.iter().filter(|memory| memory.kind == Kind::Memory).map(|memory| Budget {
        what: format!("bytes a session, of {}", memory.sessions),
        measured: format!("{:.0}", memory.bytes),
        budget: format!("{MOST_BYTES}"),
        met: memory.bytes <= MOST_BYTES,
    }));
    all.extend(threads.iter().filter(|rate| rate.kind == Kind::Memory).map(|rate| Budget {
        what: format!("{}, two threads to one, over {} sessions", rate.scenario.name(), rate.sessions),
        measured: format!("×{:.2}", rate.gain),
        budget: format!("×{LEAST_GAIN:.2} at least"),
        met: rate.gain >= LEAST_GAIN,
    }));
    all
}

fn time(costs: &Costs, scenario: Scenario) -> Option<Budget> {
    let (most, ratio) = (scenario.most_time()?, costs.ratio(Kind::Memory, scenario, Reference));
    Some(Budget {
        what: format!("{}: overhead in time, compared with tower-sessions 0.15's", scenario.name()),
        measured: format!("×{ratio:.2}"),
        budget: format!("×{most:.2}"),
        met: ratio <= most,
    })
}

fn allocations(costs: &Costs, scenario: Scenario) -> Option<Budget> {
    let (most, more) = (scenario.most_allocations()?, costs.more_allocations(Kind::Memory, scenario, Reference));
    Some(Budget {
        what: format!("{}: allocations above the empty layer's", scenario.name()),
        measured: more.to_string(),
        budget: most.to_string(),
        met: more <= most,
    })
}
