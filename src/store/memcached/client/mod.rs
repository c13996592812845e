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
//! reply is thrown away. Every request carries an opaque number that its reply must repeat; a reply with another one,
//! or anything that is no reply, closes the connection. A request that is overdue closes it too, since what follows on
//! the wire would come late as well.
//!
//! Nothing here knows what a session is.

mod command;
mod connection;
mod error;
mod handshake;
mod in_flight;
mod reply;
mod server;
mod stream;

pub use self::server::ServerStatistics;
#[cfg(feature = "memcached-tls")]
pub use self::stream::MemcachedTls;
pub(super) use self::{
    command::{Command, Mode},
    error::{ClientError, Reason},
    handshake::Credentials,
    reply::{Reply, Status},
    server::{Pending, Server, ServerSettings},
    stream::Transport,
};

/// See [`reply::fuzz`].
#[cfg(fuzzing)]
pub(super) use self::reply::fuzz as fuzz_reply;
