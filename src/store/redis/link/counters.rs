//! What was done with the servers, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a store has done with its servers since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RedisStatistics {
    /// Requests handed to a connection.
    pub requests: u64,
    /// Requests that the server refused with an error.
    pub refused: u64,
    /// Requests that were sent and not answered, because the connection was lost or the time was over.
    pub unanswered: u64,
    /// Requests that were not sent, because there was no connection or no time.
    pub not_sent: u64,
    /// Writes that fewer replicas confirmed than the setting `replicas` asks for.
    pub not_replicated: u64,
    /// Requests that a cluster's node sent to another one: `MOVED` and `ASK`.
    pub redirected: u64,
    /// How often a cluster was asked which node has which keys.
    pub cluster_maps: u64,
    /// Scripts that were sent in full, because the server didn't have them.
    pub scripts_sent: u64,
    /// Messages of servers that something which was read may have changed; see the setting `tracking`.
    pub invalidations: u64,
    /// Connections made.
    pub connections_made: u64,
    /// Attempts to connect that failed.
    pub connections_failed: u64,
    /// Connections lost or given up.
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
