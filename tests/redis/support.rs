//! Shared by these tests.

use std::time::Duration;

use session_layer::{RedisStore, SessionId, id::SessionToken, store::RedisStoreBuilder};

use crate::server::Server;

/// Settings for a server, with short limits.
pub fn builder(server: &Server) -> RedisStoreBuilder {
    RedisStore::builder()
        .server(server.address())
        .connect_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
}

pub fn store(server: &Server) -> RedisStore {
    builder(server).build().expect("good settings")
}

/// A fresh id.
pub fn id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// The key of a session, as the store writes it.
pub fn key(id: &SessionId) -> String {
    let [first, second, ..] = *id.as_bytes();
    format!("session:{{{:03x}}}:{id}", u16::from(first) << 2 | u16::from(second) >> 6)
}
