//! Connections to the servers. Nothing here is about sessions.
//!
//! [`Link`] is the interface for the store. It sends a script or a command to the server of its first key, within the
//! time limit. An error says whether the request can have been carried out ([`LinkError`]). Nothing is sent twice here,
//! except what a server said it did not carry out: a script that it doesn't have, and a request for a slot that has
//! moved.
//!
//! Files, from the lowest: `error`, `settings`, `counters`, `tracking`, `greeting`, `tls`, `target`, `connection`,
//! `seat`, `server`, `slots`, `cluster`, `dispatch`.

mod cluster;
mod connection;
mod counters;
mod dispatch;
mod error;
mod greeting;
mod seat;
mod server;
mod settings;
mod slots;
mod target;
#[cfg(feature = "redis-tls")]
mod tls;
mod tracking;

pub use self::counters::RedisStatistics;
#[cfg(feature = "redis-tls")]
pub use self::tls::RedisTls;
pub(super) use self::{
    connection::Connection,
    dispatch::{Link, Primary},
    error::{Cause, LinkError},
    settings::LinkSettings,
    tracking::Mark,
};
