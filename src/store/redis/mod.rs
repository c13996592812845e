//! Sessions on Redis or Valkey.

mod events;
mod link;
mod script;

pub use self::link::RedisStatistics;
