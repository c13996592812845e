//! The memory that a session takes.

use serde::{Deserialize, Serialize};
use tokio::task::unconstrained;

use crate::{
    child, progress, runtime,
    shape::Shape,
    subjects::{self, Kind, Subject, fill},
};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    #[serde(rename = "subject")]
    pub(crate) kind: Kind,
    pub(crate) sessions: usize,
    /// The resident bytes of each session.
    #[serde(rename = "bytes_per_session")]
    pub(crate) bytes: f64,
}

/// Measures the subjects that keep their sessions in this process, with this many reference sessions, each in a child
/// process.
pub(crate) fn all(sessions: usize) -> Vec<Memory> {
    let each = subjects::IN_MEMORY.into_iter().map(|kind| {
        progress(&format!("memory of {sessions} sessions: {}", kind.name()));
        child::ask(&["child-memory".to_owned(), kind.argument(), sessions.to_string()])
    });
    each.collect()
}

/// Measures one subject, in the child.
pub(crate) fn one(kind: Kind, sessions: usize) -> Memory {
    let runtime = runtime::single();
    let subject = runtime.block_on(Subject::new(kind, Shape::Reference));
    let before = resident();
    runtime.block_on(unconstrained(async {
        for _ in 0..sessions {
            fill(&subject.router).await;
        }
    }));
    let grown = resident().saturating_sub(before);
    Memory { kind, sessions, bytes: grown as f64 / sessions as f64 }
}

/// Returns this process's resident bytes; 0 except on Linux.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or_default() * 1_024
}
