//! How the cost grows with the size of a session, with the number of sessions, and with the threads.

use bench_support::markdown::{table, thousands, time};
use serde_json::{Value, json};

use super::{Report, costs::Costs, table::threads_cell};
use crate::{
    effort::Effort,
    machine::{self, Machine},
    measure, plot, progress, runtime,
    scenario::{self, Scenario},
    shape::{self, Shape},
    subjects::{self, Kind},
    threads::{self, Rate},
};

#[derive(Debug)]
pub(crate) struct Growth {
    machine: Machine,
    effort: Effort,
    costs: Costs,
    numbers: Vec<usize>,
    rates: Vec<Rate>,
}

impl Growth {
    /// Measures over up to `most` sessions.
    pub(crate) fn measure(most: usize, quick: bool) -> Self {
        let effort = Effort::of(quick);
        let mut costs = Vec::new();
        for shape in shape::ALL {
            progress(&format!("sessions of {}", shape.name()));
            costs.extend(measure::costs(&runtime::single(), shape, &scenario::SIZED, effort.sized_rounds, effort));
        }
        let numbers: Vec<usize> = [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|&n| n <= most).collect();
        let mut rates = Vec::new();
        for &number in &numbers {
            for kind in subjects::WITH_SESSIONS {
                progress(&format!("{} sessions: {}", thousands(number as f64), kind.name()));
                rates.extend(threads::apart(kind, number, &scenario::ALL, quick));
            }
        }
        Self { machine: machine::here(), effort, costs: Costs(costs), numbers, rates }
    }

    fn rate(&self, kind: Kind, sessions: usize, scenario: Scenario) -> &Rate {
        let mut rates = self.rates.iter();
        let found = rates.find(|rate| rate.kind == kind && rate.sessions == sessions && rate.scenario == scenario);
        found.expect("all were measured")
    }

    fn by_size(&self, scenario: Scenario) -> String {
        let rows = subjects::ALL.into_iter().map(|kind| {
            let cells = shape::ALL.map(|shape| {
                let cost = self.costs.cost(kind, scenario, shape);
                format!("{}, {} allocs", time(cost.time), thousands(cost.allocations as f64))
            });
            (kind.name().to_owned(), cells.into())
        });
        format!("### {}, by size\n\n{}\n", scenario.name(), table(&shape::ALL.map(Shape::name), rows))
    }

    fn by_number(&self, scenario: Scenario) -> String {
        let columns: Vec<String> =
            self.numbers.iter().map(|&number| format!("{} sessions", thousands(number as f64))).collect();
        let rows = subjects::WITH_SESSIONS.into_iter().map(|kind| {
            let cells = self.numbers.iter().map(|&number| threads_cell(self.rate(kind, number, scenario)));
            (kind.name().to_owned(), cells.collect())
        });
        format!("### {}, by the number of sessions\n\n{}\n", scenario.name(), table(&columns, rows))
    }

    fn panel<'a>(
        title: String,
        axis: plot::Axis,
        unit: &'a str,
        point: &dyn Fn(Kind) -> Vec<(f64, f64)>,
    ) -> plot::Lines<'a> {
        plot::Lines { title, axis, unit, lines: PLOTTED.map(|kind| (kind, point(kind))).into() }
    }

    fn panels(&self) -> Vec<plot::Lines<'_>> {
        let mut panels = Vec::new();
        for (name, scenario) in BY_SIZE {
            let points = |kind| {
                LINE.map(|shape| (shape.bytes() as f64 / 1e3, self.costs.cost(kind, scenario, shape).time)).into()
            };
            panels.push(Self::panel(format!("{name}, by size"), plot::Axis::Kilobytes, "µs a request", &points));
        }
        for (name, scenario) in BY_SIZE {
            let points = |kind| {
                let point = |shape: Shape| (shape.entries() as f64, self.costs.cost(kind, scenario, shape).time);
                [Shape::Large, Shape::Many].map(point).into()
            };
            panels.push(Self::panel(format!("{name}, by entries"), plot::Axis::Entries, "µs a request", &points));
        }
        for (name, scenario) in BY_NUMBER {
            let points = |kind| {
                let point = |&number: &usize| (number as f64, 1e6 / self.rate(kind, number, scenario).one_thread);
                self.numbers.iter().map(point).collect()
            };
            panels.push(Self::panel(format!("{name}, by number"), plot::Axis::Sessions, "µs a request", &points));
        }
        let most = self.numbers.iter().copied().filter(|&number| number <= 100_000).max().unwrap_or_default();
        for (name, scenario) in BY_NUMBER {
            let points = |kind| {
                let rate = self.rate(kind, most, scenario);
                vec![(1.0, rate.one_thread), (2.0, rate.two_threads)]
            };
            panels.push(Self::panel(format!("{name}, by threads"), plot::Axis::Threads, "requests a second", &points));
        }
        panels
    }
}

impl Report for Growth {
    fn markdown(&self) -> String {
        let sizes: String = scenario::SIZED.map(|scenario| self.by_size(scenario)).concat();
        let numbers: String = scenario::ALL.map(|scenario| self.by_number(scenario)).concat();
        let Effort { sized_rounds, thread_rounds, thread_round, .. } = self.effort;
        format!(
            "{sizes}Median of {sized_rounds} interleaved rounds, on one thread. The size is that of all entries as JSON; \
             what is read and written is the same in all of them.\n\n\
             {numbers}Requests a second on one and on two threads, which is as many requests at a time; medians of \
             {thread_rounds} rounds of {thread_round:?}, each subject and number in a process of its own, over sessions of \
             {reference}. What is created comes on top of the number.\n\n{machine}\n",
            reference = Shape::Reference.name(),
            machine = self.machine.line(),
        )
    }

    fn json(&self) -> Value {
        json!({ "machine": self.machine, "costs": self.costs.rows(), "threads": self.rates })
    }

    fn plot(&self) -> String {
        plot::lines(
            "How the cost of a request grows",
            "With the size of a session, its entries, the number of sessions (of 0.7 KB, one thread), and the threads.",
            &PLOTTED,
            &self.panels(),
            &self.machine.line(),
        )
    }
}

/// The subjects in the plot.
const PLOTTED: [Kind; 7] =
    [Kind::Memory, Kind::Sealed, Kind::File, Kind::Memcached, Kind::TowerMemory, Kind::TowerMoka, Kind::AxumSession];
const BY_SIZE: [(&str, Scenario); 3] =
    [("Read", Scenario::Read), ("Write", Scenario::Write), ("Create whole", Scenario::Fill)];
const BY_NUMBER: [(&str, Scenario); 3] =
    [("Read", Scenario::Read), ("Write", Scenario::Write), ("Create", Scenario::Create)];
/// The shapes with two to four entries, which differ only in size.
const LINE: [Shape; 4] = [Shape::Tiny, Shape::Reference, Shape::Large, Shape::Huge];
