//! The checks, in the order of the contract.

mod at_once;
mod clear;
pub(super) mod clocks;
mod create;
mod dropped;
mod end;
mod epoch;
mod expiry;
mod failing;
mod history;
mod lease;
mod list;
mod listing;
mod load;
mod metadata;
mod order;
mod owners;
mod refresh;
mod remove;
mod rename;
mod shutdown;
mod sweep;
mod touch;
mod tracked;
mod unanswered;
mod update;
mod usage;

pub use self::list::checks;
