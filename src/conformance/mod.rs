//! The conformance and fault kit for authors of stores: is this store right, and what happens when one is not?
mod bench;
mod check;
mod checks;
pub mod fault;
mod harness;
mod operation;
mod race;
mod report;
mod sample;
mod sentence;

#[doc(hidden)]
pub use self::check::{find, verdict};
pub use self::{
    check::{Check, run},
    checks::checks,
    harness::{Harness, manual_clock},
    operation::Operation,
    report::{Failure, Outcome, Report, Skip},
    sentence::{Sentence, sentences},
};
#[doc(inline)]
pub use crate::__conformance_tests as tests;
