//! The memory that a session takes.

use bench_support::markdown::{table, thousands};
use serde_json::{Value, json};

use super::Report;
use crate::{
    machine::{self, Machine},
    memory::{self, Memory},
    plot,
    subjects::{self, Kind},
};

#[derive(Debug)]
pub(crate) struct MemoryReport {
    machine: Machine,
    sessions: Vec<usize>,
    memory: Vec<Memory>,
}

impl MemoryReport {
    pub(crate) fn measure(quick: bool) -> Self {
        let sessions = if quick { vec![1_000, 2_000] } else { vec![100_000, 1_000_000] };
        let memory = sessions.iter().flat_map(|&sessions| memory::all(sessions)).collect();
        Self { machine: machine::here(), sessions, memory }
    }

    fn bytes(&self, kind: Kind, sessions: usize) -> f64 {
        let found = self.memory.iter().find(|memory| memory.kind == kind && memory.sessions == sessions);
        found.expect("all were measured").bytes
    }
}

impl Report for MemoryReport {
    fn markdown(&self) -> String {
        let columns: Vec<String> =
            self.sessions.iter().map(|&sessions| format!("{} sessions", thousands(sessions as f64))).collect();
        let rows = subjects::IN_MEMORY.into_iter().map(|kind| {
            let cells = self.sessions.iter().map(|&sessions| thousands(self.bytes(kind, sessions)));
            (kind.name().to_owned(), cells.collect())
        });
        let table = table(&columns, rows);
        format!(
            "{table}\nResident bytes (VmRSS) for each session of 0.7 KB, each number in a separate process.\n\n{}\n",
            self.machine.line()
        )
    }

    fn json(&self) -> Value {
        json!({ "machine": self.machine, "memory": self.memory })
    }

    fn plot(&self) -> String {
        let names: Vec<String> =
            self.sessions.iter().map(|&sessions| format!("{} sessions", thousands(sessions as f64))).collect();
        let groups = self.sessions.iter().zip(&names).map(|(&sessions, name)| plot::Group {
            name,
            values: subjects::IN_MEMORY.map(|kind| self.bytes(kind, sessions)).into(),
        });
        plot::bars(
            "What a session takes of the machine's memory",
            "Sessions of 0.7 KB, index, lists and expiry included. Less is better.",
            &subjects::IN_MEMORY,
            &[plot::Bars { title: "Memory", unit: "resident bytes a session", decimals: 0, groups: groups.collect() }],
            &self.machine.line(),
        )
    }
}
