//! What all connections of a store are made with.

use std::time::Duration;

/// The settings of connections.
#[derive(Debug, Clone)]
pub(in super::super) struct LinkSettings {
    /// How many connections each runtime has to a server.
    pub(in super::super) connections: usize,
    /// How long an attempt to connect may take.
    pub(in super::super) connect_timeout: Duration,
    /// How long a request may take, including the wait for a connection.
    pub(in super::super) request_timeout: Duration,
    /// How many requests may wait for one connection.
    pub(in super::super) queue: usize,
    /// How many replicas must confirm a write before it is answered. 0: none.
    pub(in super::super) replicas: usize,
    /// For how long an answer proves that the server's words on what has changed arrive. `None`: it is not asked for them.
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
