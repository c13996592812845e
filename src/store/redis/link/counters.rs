//! Counts of requests and connections.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a store's requests and connections since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RedisStatistics {
    /// Requests handed to a connection.
    pub requests: u64,
    /// Requests that the server refused with an error.
    pub refused: u64,
    /// Requests that were sent and not answered, because the connection was lost or the time limit passed.
    pub unanswered: u64,
    /// Requests that were not sent, because there was no connection or the time limit passed.
    pub not_sent: u64,
    /// Writes that fewer replicas confirmed than the setting `replicas` requires.
    pub not_replicated: u64,
    /// Requests that a node of a cluster redirected to another one: `MOVED` and `ASK`.
    pub redirected: u64,
    /// Queries for a cluster's map of slots.
    pub cluster_maps: u64,
    /// Scripts that were sent in full, because the server didn't have them.
    pub scripts_sent: u64,
    /// Messages from servers that something may have changed after this process read it; see the setting `tracking`.
    pub invalidations: u64,
    /// Connections opened.
    pub connections_made: u64,
    /// Failed attempts to connect.
    pub connections_failed: u64,
    /// Connections that were lost or given up.
    pub connections_lost: u64,
}

macro_rules! counters {
    ($($name:ident)*) => {
        /// The counters of one store.
        #[derive(Debug, Default)]
        pub(in super::super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(in super::super) fn statistics(&self) -> RedisStatistics {
                RedisStatistics { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    requests refused unanswered not_sent not_replicated redirected cluster_maps scripts_sent invalidations connections_made connections_failed connections_lost
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
