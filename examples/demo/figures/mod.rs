//! What an operator wants to see: counts of what happens to sessions, and how long the store takes.
//!
//! - `figures`: an observer that counts.
//! - `board`: what the operator's page is told.
//! - `metrics`: the same and more, for Prometheus.
//! - `recent`: durations of the last seconds, and their percentiles.

mod board;
#[allow(clippy::module_inception, reason = "one noun a file")]
mod figures;
pub(crate) mod metrics;
mod recent;

pub(crate) use self::{
    board::Board,
    figures::{Figures, Numbers},
};
