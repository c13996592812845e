//! What an operator wants to see: counts of what happens to sessions, and how long the store takes.
//!
//! - `counts`: an observer that counts.
//! - `board`: what the operator's page is told.
//! - `metrics`: the same and more, for Prometheus.
//! - `recent`: durations of the last seconds, and their percentiles.

mod board;
mod counts;
pub(crate) mod metrics;
mod recent;

pub(crate) use self::{
    board::Board,
    counts::{Figures, Numbers},
};
