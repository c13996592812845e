//! The costs of all subjects, compared with the empty layer's and tower-sessions'.

use serde::Serialize;

use crate::{measure::Cost, scenario::Scenario, shape::Shape, subjects::Kind};

#[derive(Debug)]
pub(super) struct Costs(pub(super) Vec<Cost>);

/// A cost in the JSON output.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    cost: Cost,
    name: &'static str,
    /// The time above the empty layer's.
    overhead_microseconds: f64,
    overhead_allocations: i64,
    /// The overhead in time as a multiple of that of tower-sessions over memory; `None` for subjects without sessions.
    overhead_to_tower_sessions: Option<f64>,
}

impl Costs {
    pub(super) fn cost(&self, kind: Kind, scenario: Scenario, shape: Shape) -> &Cost {
        let mut costs = self.0.iter();
        let found = costs.find(|cost| cost.kind == kind && cost.scenario == scenario && cost.shape == shape);
        found.expect("every scenario was measured with every subject")
    }

    /// Returns the microseconds above the empty layer's.
    pub(super) fn overhead(&self, kind: Kind, scenario: Scenario, shape: Shape) -> f64 {
        self.cost(kind, scenario, shape).time - self.cost(Kind::Empty, scenario, shape).time
    }

    pub(super) fn more_allocations(&self, kind: Kind, scenario: Scenario, shape: Shape) -> i64 {
        self.cost(kind, scenario, shape).allocations - self.cost(Kind::Empty, scenario, shape).allocations
    }

    /// Returns the overhead as a multiple of that of tower-sessions over memory.
    pub(super) fn ratio(&self, kind: Kind, scenario: Scenario, shape: Shape) -> f64 {
        self.overhead(kind, scenario, shape) / self.overhead(Kind::TowerMemory, scenario, shape)
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |&cost: &Cost| {
            let Cost { kind, scenario, shape, .. } = cost;
            Row {
                cost,
                name: kind.name(),
                overhead_microseconds: self.overhead(kind, scenario, shape),
                overhead_allocations: self.more_allocations(kind, scenario, shape),
                overhead_to_tower_sessions: kind.has_sessions().then(|| self.ratio(kind, scenario, shape)),
            }
        };
        self.0.iter().map(row).collect()
    }
}
