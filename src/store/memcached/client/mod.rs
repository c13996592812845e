//! A small client for memcached's meta protocol.
//!
//! ```text
//! callers ──▶ bounded queue ──▶ writer ──▶ socket ──▶ memcached
//!    ▲                            │ in flight, in order
//!    └───────── replies ◀────── reader ◀── socket ◀──────┘
//! ```
//!
//! Each connection is owned by one task, which writes what is queued in batches and hands out the replies in order.
//! Callers never touch the socket, so a caller that goes away leaves nothing behind: its request is skipped, or its
//! reply is thrown away. Each caller watches its own time limit, on its own runtime's timer: a request that is still
//! queued then is withdrawn and never sent, and the outcome of one that was written is unknown.
//!
//! Each runtime that uses a server has connections of its own to it. So a runtime that is busy, stopped or gone delays
//! nobody else's requests.
//!
//! Every request carries an opaque number that its reply must repeat; a reply with another one,
//! or anything that is no reply, closes the connection. A request that is overdue closes it too, since what follows on
//! the wire would come late as well. A CAS value is sent only to the incarnation of the server that gave it: see [`Cas`].
//!
//! Nothing here knows what a session is.

mod claim;
mod command;
mod connection;
mod error;
mod handshake;
mod in_flight;
mod lane;
mod reply;
mod server;
mod stream;

pub use self::server::ServerStatistics;
#[cfg(feature = "memcached-tls")]
pub use self::stream::MemcachedTls;
pub(super) use self::{
    command::{Cas, Command, Mode},
    error::{ClientError, Reason},
    handshake::Credentials,
    reply::{Reply, Status},
    server::{Pending, Server, ServerSettings},
    stream::Transport,
};

#[cfg(test)]
pub(super) use self::command::ITEM_OVERHEAD;

/// See [`reply::fuzz`].
#[cfg(fuzzing)]
pub(super) use self::reply::fuzz as fuzz_reply;
