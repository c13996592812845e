//! Pages for those who run the crate.
//!
//! - [`redis`]: running sessions on Redis or Valkey.

pub mod redis;
