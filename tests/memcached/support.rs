//! Shared by these tests.

use std::time::Duration;

use session_layer::{MemcachedStore, SessionId, store::MemcachedStoreBuilder};

use crate::server::Memcached;
pub use crate::sessions::*;

/// Settings for these servers, with short limits.
pub fn builder<'a>(servers: impl IntoIterator<Item = &'a Memcached>) -> MemcachedStoreBuilder {
    MemcachedStore::builder()
        .servers(servers.into_iter().map(Memcached::address))
        .connect_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
}

pub fn store<'a>(servers: impl IntoIterator<Item = &'a Memcached>) -> MemcachedStore {
    builder(servers).build().expect("good settings")
}

/// Returns a fresh id on this server.
pub fn id_on(store: &MemcachedStore, server: usize) -> SessionId {
    std::iter::repeat_with(id).find(|id| store.server_of(id) == server).expect("one in a few")
}
