//! Connections to the servers. Nothing here knows a session.
//!
//! [`Link`] is all that the store uses: it sends a script or a command to the server of its first key, within the time
//! limit, and says of an error whether the request can have been carried out ([`LinkError`]). Nothing is sent twice here,
//! except a script that the server said it doesn't have.
//!
//! Files, from the lowest: `error`, `settings`, `counters`, `greeting`, `server`, `dispatch`.

mod counters;
mod dispatch;
mod error;
mod greeting;
mod server;
mod settings;

pub use self::counters::RedisStatistics;
pub(super) use self::{
    dispatch::{Link, Primary},
    error::{Cause, LinkError, RefusalKind},
    settings::LinkSettings,
};
