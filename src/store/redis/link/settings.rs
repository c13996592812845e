//! The settings that all connections of a store share.

use std::time::Duration;

/// The settings of connections and requests.
#[derive(Debug, Clone)]
pub(in super::super) struct LinkSettings {
    /// The maximum number of connections of each runtime to a server.
    pub(in super::super) connections: usize,
    /// The time limit of one attempt to connect.
    pub(in super::super) connect_timeout: Duration,
    /// The time limit of one request, including the wait for a connection.
    pub(in super::super) request_timeout: Duration,
    /// The maximum number of requests that queue for one connection.
    pub(in super::super) queue: usize,
    /// How many replicas must confirm a write before the store reports success. 0: none.
    pub(in super::super) replicas: usize,
    /// How long an answer proves that the server's messages about changes arrive. `None`: the server isn't asked for
    /// messages.
    pub(in super::super) tracking: Option<Duration>,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            connections: 2,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
            queue: 1_024,
            replicas: 0,
            tracking: None,
        }
    }
}
