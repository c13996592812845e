//! The state that the connections to one server share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{handshake::Credentials, stream::Transport};
use crate::store::address::Address;

/// The initial size of a buffer, and the size to which a larger one shrinks after use.
pub(super) const BUFFER_BYTES: usize = 32 * 1_024;

/// The largest item of a server that was started without `-I`.
const DEFAULT_ITEM_SIZE: usize = 1_024 * 1_024;

/// The settings of all connections of a store.
#[derive(Debug, Clone)]
pub(in super::super) struct ServerSettings {
    pub(in super::super) connections: usize,
    pub(in super::super) connect_timeout: Duration,
    pub(in super::super) request_timeout: Duration,
    /// How many requests may wait for one connection.
    pub(in super::super) queue: usize,
    pub(in super::super) item_size_limit: Option<usize>,
    pub(in super::super) credentials: Option<Credentials>,
    pub(in super::super) transport: Transport,
}

/// The state that a server's connections share.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) address: Address,
    pub(super) settings: Arc<ServerSettings>,
    pub(super) counters: Counters,
    /// The limit that the server reported last, in bytes; 0 if it reported none.
    item_size_max: AtomicUsize,
}

/// Counts since the store was built.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) reconnects: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) connected: AtomicU64,
}

impl Shared {
    pub(super) fn new(address: Address, settings: Arc<ServerSettings>) -> Self {
        let name = address.to_string().into();
        Self { name, address, settings, counters: Counters::default(), item_size_max: AtomicUsize::new(0) }
    }

    /// How many requests are queued or waiting for their reply.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.counters.in_flight.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    pub(super) fn set_item_size_max(&self, bytes: Option<usize>) {
        self.item_size_max.store(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// The largest item that is sent, in bytes, including all overhead.
    pub(super) fn item_limit(&self) -> usize {
        let theirs = match self.item_size_max.load(Ordering::Relaxed) {
            0 => DEFAULT_ITEM_SIZE,
            bytes => bytes,
        };
        self.settings.item_size_limit.map_or(theirs, |ours| ours.min(theirs))
    }
}
