//! The operator's figures: counts of session events, and how long the store takes.
//!
//! - `counts`: an observer that counts.
//! - `board`: the data of the operator's page.
//! - `metrics`: the same and more, for Prometheus.
//! - `recent`: the durations of the last seconds, and their percentiles.

mod board;
mod counts;
pub(crate) mod metrics;
mod recent;

pub(crate) use self::{
    board::Board,
    counts::{Figures, Numbers},
};
