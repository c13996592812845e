//! Code shared by the benchmarks of whole requests: the reference session, a router with each library's own means, and
//! a load over HTTP.
#![allow(missing_docs, clippy::missing_panics_doc, clippy::must_use_candidate, reason = "only the benches use it")]

pub mod app;
pub mod call;
pub mod child;
pub mod content;
pub mod gate;
pub mod handlers;
pub mod http;
pub mod machine;
pub mod markdown;
pub mod measure;
pub mod page;
pub mod processor;
pub mod runtime;
pub mod shape;
