//! The output of each command: a table in Markdown, the same as JSON, and a plot.

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

    /// Returns the report as JSON.
    fn json(&self) -> serde_json::Value;

    /// Returns the plot as an SVG.
    fn plot(&self) -> String;
}
