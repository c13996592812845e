//! A small client for memcached's meta protocol.
//!
//! ```text
//! callers ──▶ bounded queue ──▶ writer ──▶ socket ──▶ memcached
//!    ▲                            │ in flight, in order
//!    └───────── replies ◀────── reader ◀── socket ◀──────┘
//! ```
//!
//! Each connection is owned by one task, which writes queued requests in batches and hands out the replies in order.
//! Callers never touch the socket. If a caller goes away, its request is skipped or its reply is discarded. Each caller
//! enforces its own time limit with its own runtime's timer. A request that is still queued at the limit is withdrawn
//! and never sent; the outcome of a request that was written is unknown.
//!
//! Each runtime that uses a server has its own connections to it. So a runtime that is busy, stopped or gone doesn't
//! delay requests of other runtimes.
//!
//! Every request carries an opaque number, which its reply must repeat. A reply with another number, or anything that
//! is not a reply, closes the connection. So does an overdue request, since the replies behind it would be late as
//! well. A CAS value is sent only to the incarnation of the server that gave it: see [`Cas`].
//!
//! Nothing here depends on sessions.

mod claim;
mod command;
mod connection;
mod error;
mod handshake;
mod in_flight;
mod lane;
mod link;
mod reader;
mod reply;
mod server;
mod shared;
mod stream;
mod writer;

pub use self::server::ServerStatistics;
#[cfg(feature = "memcached-tls")]
pub use self::stream::MemcachedTls;
pub(super) use self::{
    command::{Cas, Command, Mode},
    error::{ClientError, Reason},
    handshake::Credentials,
    reply::{Reply, Status},
    server::{Pending, Server},
    shared::ServerSettings,
    stream::Transport,
};

#[cfg(test)]
pub(super) use self::command::ITEM_OVERHEAD;

#[cfg(fuzzing)]
pub(crate) use self::reply::fuzz as fuzz_reply;
