//! The table: every scenario for every subject, the races, and the budgets.

use bench_support::markdown::{table, thousands};
use serde_json::{Value, json};

use super::{
    Report,
    budgets::{Budget, budgets},
    costs::Costs,
};
use crate::{
    effort::Effort,
    gate::RACERS,
    machine::{self, Machine},
    measure::{self, REQUESTS},
    memory::{self, Memory},
    plot, progress,
    races::{self, Races},
    runtime,
    scenario::{self, Scenario},
    shape::Shape::Reference,
    subjects::{self, Kind},
    threads::{self, Rate},
};

#[derive(Debug)]
pub(crate) struct Table {
    machine: Machine,
    effort: Effort,
    costs: Costs,
    memory: Vec<Memory>,
    threads: Vec<Rate>,
    races: Vec<Races>,
}

impl Table {
    pub(crate) fn measure(quick: bool) -> Self {
        let effort = Effort::of(quick);
        progress("time and allocations");
        let costs = measure::costs(&runtime::single(), Reference, &scenario::ALL, effort.rounds, effort);
        let memory = memory::all(effort.sessions);
        let threads = subjects::IN_MEMORY.into_iter().flat_map(|kind| {
            progress(&format!("one and two threads: {}", kind.name()));
            threads::apart(kind, effort.sessions, &[Scenario::Read], quick)
        });
        let threads = threads.collect();
        let races = races::all(effort.races);
        Self { machine: machine::here(), effort, costs: Costs(costs), memory, threads, races }
    }

    fn budgets(&self) -> Vec<Budget> {
        budgets(&self.costs, &self.memory, &self.threads)
    }

    fn costs_table(&self) -> String {
        let names = scenario::ALL.map(Scenario::name).into_iter();
        let columns: Vec<&str> = names.chain(["bytes a session", "reads a second, one and two threads"]).collect();
        let rows = subjects::ALL.into_iter().map(|kind| {
            let mut cells: Vec<String> = scenario::ALL.map(|scenario| self.cell(kind, scenario)).into();
            let memory = self.memory.iter().find(|memory| memory.kind == kind);
            cells.push(memory.map_or_else(|| "–".to_owned(), |memory| thousands(memory.bytes)));
            let rate = self.threads.iter().find(|rate| rate.kind == kind);
            cells.push(rate.map_or_else(|| "–".to_owned(), threads_cell));
            (kind.name().to_owned(), cells)
        });
        table(&columns, rows)
    }

    fn cell(&self, kind: Kind, scenario: Scenario) -> String {
        let cost = self.costs.cost(kind, scenario, Reference);
        let own = format!("{:.2} µs, {} allocs, {} B", cost.time, cost.allocations, cost.bytes);
        if kind.has_sessions() { format!("{own}, ×{:.2}", self.costs.ratio(kind, scenario, Reference)) } else { own }
    }

    fn races_table(&self) -> String {
        let columns = ["parallel keys kept", "parallel increments kept", "sessions back after a logout"];
        let rows = self.races.iter().map(|races| {
            let Races { kind, keys, increments, back, times } = races;
            let cells =
                [format!("{keys} of {RACERS}"), format!("{increments} of {RACERS}"), format!("{back} of {times}")];
            (kind.name().to_owned(), cells.into())
        });
        table(&columns, rows)
    }

    fn budgets_table(&self) -> String {
        let rows = self.budgets().into_iter().map(|Budget { what, measured, budget, met }| {
            (what, vec![measured, budget, if met { "met" } else { "**missed**" }.to_owned()])
        });
        table(&["measured", "budget", ""], rows)
    }
}

impl Report for Table {
    fn markdown(&self) -> String {
        let Effort { rounds, sessions, .. } = self.effort;
        format!(
            "{costs}\nMedian of {rounds} interleaved rounds of up to {REQUESTS} requests, over a session of {shape}; `×` \
             is the time above the empty layer as a part of tower-sessions 0.15's over memory. Allocations and bytes are \
             those of the request's thread. Bytes a session are resident, over {sessions} sessions; the threads read them.\n\n\
             {races}\nThe worst of {times} times, on two threads.\n\n\
             session-layer over memory, and its budgets:\n\n{budgets}\n{machine}\n",
            costs = self.costs_table(),
            shape = Reference.name(),
            sessions = thousands(sessions as f64),
            races = self.races_table(),
            times = self.effort.races,
            budgets = self.budgets_table(),
            machine = self.machine.line(),
        )
    }

    fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "costs": self.costs.rows(),
            "memory": self.memory,
            "threads": self.threads,
            "races": self.races,
            "budgets": self.budgets(),
        })
    }

    fn plot(&self) -> String {
        let group = |name, scenario, value: &dyn Fn(Kind, Scenario) -> f64| plot::Group {
            name,
            values: PLOTTED.map(|kind| value(kind, scenario)).into(),
        };
        let groups = |value: &dyn Fn(Kind, Scenario) -> f64| -> Vec<plot::Group> {
            GROUPS.into_iter().map(|(name, scenario)| group(name, scenario, value)).collect()
        };
        let time = groups(&|kind, scenario| self.costs.overhead(kind, scenario, Reference));
        let allocations = groups(&|kind, scenario| self.costs.more_allocations(kind, scenario, Reference) as f64);
        let bars = |title, unit, decimals, groups| plot::Bars { title, unit, decimals, groups };
        plot::bars(
            "What sessions add to a request",
            "Sessions of 0.7 KB in memory, above the same axum router with an empty layer. Less is better.",
            &PLOTTED,
            &[bars("Time", "µs a request", 2, time), bars("Allocations", "allocations a request", 0, allocations)],
            &self.machine.line(),
        )
    }
}

/// The subjects in the plot.
const PLOTTED: [Kind; 4] = [Kind::Memory, Kind::TowerMemory, Kind::TowerMoka, Kind::AxumSession];
const GROUPS: [(&str, Scenario); 5] = [
    ("untouched, no cookie", Scenario::UntouchedNoCookie),
    ("untouched, cookie", Scenario::UntouchedCookie),
    ("read one entry", Scenario::Read),
    ("write one entry", Scenario::Write),
    ("create a session", Scenario::Create),
];

pub(super) fn threads_cell(rate: &Rate) -> String {
    format!("{} to {}, ×{:.2}", thousands(rate.one_thread), thousands(rate.two_threads), rate.gain)
}
