//! The tables, and the same for machines.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    crowd::{Crowd, SESSIONS},
    gate::RACERS,
    measure::{Cost, REQUESTS, ROUNDS},
    races::Races,
    scenario::{self, Scenario},
    subjects::{self, Kind},
};

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) costs: Vec<Cost>,
    pub(crate) crowds: Vec<Crowd>,
    pub(crate) races: Vec<Races>,
}

impl Report {
    fn cost(&self, kind: Kind, scenario: Scenario) -> &Cost {
        let found = self.costs.iter().find(|cost| cost.kind == kind && cost.scenario == scenario);
        found.expect("every scenario was measured with every subject")
    }

    fn overhead(&self, kind: Kind, scenario: Scenario) -> f64 {
        self.cost(kind, scenario).time - self.cost(Kind::Empty, scenario).time
    }

    /// Its overhead as a part of that of tower-sessions over memory.
    fn ratio(&self, kind: Kind, scenario: Scenario) -> f64 {
        self.overhead(kind, scenario) / self.overhead(Kind::TowerMemory, scenario)
    }

    fn more_allocations(&self, kind: Kind, scenario: Scenario) -> i64 {
        self.cost(kind, scenario).allocations - self.cost(Kind::Empty, scenario).allocations
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        self.write_markdown(&mut text).expect("a string takes everything");
        text
    }

    fn write_markdown(&self, to: &mut String) -> std::fmt::Result {
        head(to, scenario::ALL.map(Scenario::name).iter().copied().chain(["bytes a session", "threads, 2 to 1"]))?;
        for kind in subjects::ALL {
            write!(to, "| {} |", kind.name())?;
            for scenario in scenario::ALL {
                let cost = self.cost(kind, scenario);
                write!(to, " {:.2} µs, {} allocs, {} B", cost.time, cost.allocations, cost.bytes)?;
                match kind {
                    Kind::Bare | Kind::Empty => write!(to, " |")?,
                    _ => write!(to, ", ×{:.2} |", self.ratio(kind, scenario))?,
                }
            }
            match self.crowds.iter().find(|crowd| crowd.kind == kind) {
                Some(crowd) => writeln!(
                    to,
                    " {:.0} | {:.0} to {:.0} req/s, ×{:.2} |",
                    crowd.bytes, crowd.two_threads, crowd.one_thread, crowd.gain
                )?,
                None => writeln!(to, " – | – |")?,
            }
        }
        writeln!(
            to,
            "\nMedian of {ROUNDS} interleaved rounds of up to {REQUESTS} requests; `×` is the time above the empty layer \
             as a part of tower-sessions 0.15's over memory. Allocations are those of the request's thread. Bytes a \
             session are resident, over {SESSIONS} reference sessions; the threads read them.\n"
        )?;

        let columns = ["parallel keys kept", "parallel increments kept", "sessions back after a logout"];
        head(to, columns.into_iter())?;
        for races in &self.races {
            let Races { kind, keys, increments, back, times } = races;
            writeln!(to, "| {} | {keys} of {RACERS} | {increments} of {RACERS} | {back} of {times} |", kind.name())?;
        }
        writeln!(to, "\nThe worst time of several, on two threads.\n")?;

        writeln!(to, "| session-layer over memory | measured | budget | |\n|---|---|---|---|")?;
        for scenario in scenario::ALL {
            let (name, ratio, most) = (scenario.name(), self.ratio(Kind::Memory, scenario), scenario.most_time());
            writeln!(to, "| {name}: time | ×{ratio:.2} | ×{most:.2} | {} |", verdict(ratio <= most))?;
            if let Some(most) = scenario.most_allocations() {
                let more = self.more_allocations(Kind::Memory, scenario);
                writeln!(to, "| {name}: allocations | {more} more | {most} more | {} |", verdict(more <= most))?;
            }
        }
        if let Some(crowd) = self.crowds.iter().find(|crowd| crowd.kind == Kind::Memory) {
            let (bytes, gain) = (crowd.bytes, crowd.gain);
            writeln!(to, "| bytes a session | {bytes:.0} | 1300 | {} |", verdict(bytes <= 1_300.0))?;
            writeln!(to, "| two threads to one | ×{gain:.2} | ×1.50 | {} |", verdict(gain >= 1.5))?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let costs = self.costs.iter().map(|cost| {
            json!({
                "subject": cost.kind.name(), "scenario": cost.scenario.name(), "microseconds": cost.time,
                "allocations": cost.allocations, "bytes": cost.bytes,
                "overhead_to_tower_sessions": self.ratio(cost.kind, cost.scenario),
            })
        });
        let crowds = self.crowds.iter().map(|crowd| {
            json!({
                "subject": crowd.kind.name(), "sessions": SESSIONS, "bytes_per_session": crowd.bytes,
                "requests_per_second": { "one_thread": crowd.one_thread, "two_threads": crowd.two_threads },
                "two_threads_to_one": crowd.gain,
            })
        });
        let races = self.races.iter().map(|races| {
            json!({
                "subject": races.kind.name(), "racers": RACERS, "times": races.times, "keys_kept": races.keys,
                "increments_kept": races.increments, "back_after_logout": races.back,
            })
        });
        json!({
            "costs": costs.collect::<Vec<_>>(),
            "crowds": crowds.collect::<Vec<_>>(),
            "races": races.collect::<Vec<_>>(),
        })
    }
}

fn head<'a>(to: &mut String, columns: impl Iterator<Item = &'a str> + Clone) -> std::fmt::Result {
    write!(to, "| |")?;
    columns.clone().try_for_each(|column| write!(to, " {column} |"))?;
    write!(to, "\n|---|")?;
    columns.into_iter().try_for_each(|_| write!(to, "---|"))?;
    writeln!(to)
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}
