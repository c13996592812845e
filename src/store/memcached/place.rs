//! Where an id is kept.

use tokio::time::Instant;

use super::{
    client::{ClientError, Command, Reply, Server},
    key::Key,
};

/// The server and key of one id, and the deadline of the operation on it.
pub(super) struct Place<'a> {
    pub(super) server: &'a Server,
    pub(super) lane: usize,
    pub(super) deadline: Instant,
    /// The record's key.
    pub(super) key: Key,
}

impl Place<'_> {
    pub(super) async fn call(&self, command: Command) -> Result<Reply, ClientError> {
        self.server.call(self.lane, command, self.deadline).await
    }

    /// The same place with a new deadline.
    pub(super) fn renewed(&self) -> Self {
        Self { server: self.server, lane: self.lane, deadline: self.server.deadline(), key: self.key }
    }
}
