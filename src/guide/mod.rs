//! Guides for operating sessions in production.
//!
//! - [`redis`]: running sessions on Redis or Valkey.

pub mod redis;
