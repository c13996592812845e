//! Typed sessions: fields as entries, detection of changes, merging, and the extractor.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

#[path = "../../examples/typed.rs"]
#[allow(dead_code, reason = "its `main` is the command's")]
mod example;
mod fields;
mod http;
mod merge;
mod readable;
mod refused;
mod support;
mod written;
