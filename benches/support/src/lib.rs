//! What the benches of whole requests share: the reference session, a router over it by each library's own means, and a
//! load through HTTP.
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
