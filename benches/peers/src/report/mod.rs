//! What each command prints: a table in Markdown, the same for machines, and a plot.

mod budgets;
mod costs;
mod growth;
mod loaded;
mod memory;
mod table;

pub(crate) use self::{growth::Growth, loaded::OverHttp, memory::MemoryReport, table::Table};

/// One run of a command.
pub(crate) trait Report {
    fn markdown(&self) -> String;

    /// For machines.
    fn json(&self) -> serde_json::Value;

    /// As an SVG.
    fn plot(&self) -> String;
}
