//! Sends each request to the server of its keys.

use std::sync::Arc;

use redis::{Client, Cmd, Value};

use super::{
    super::script::Script,
    counters::{Counters, RedisStatistics},
    error::{LinkError, RefusalKind},
    server::Server,
    settings::LinkSettings,
};

/// The connections of one store.
#[derive(Debug)]
pub(in super::super) struct Link {
    shape: Shape,
    counters: Arc<Counters>,
}

/// How the servers are arranged.
#[derive(Debug)]
enum Shape {
    /// One server has all keys.
    Single(Server),
}

/// A server that has keys which no other has, as a cursor names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Primary {
    /// A cluster node's id, which is 40 hexadecimal digits, as bytes. Zeros for a server that is alone.
    pub(in super::super) id: [u8; 20],
}

impl Link {
    /// A link to one server. Nothing is connected yet.
    pub(in super::super) fn single(client: &Client, settings: LinkSettings) -> redis::RedisResult<Self> {
        let counters = Arc::<Counters>::default();
        let server = Server::new(client, settings, Arc::clone(&counters))?;
        Ok(Self { shape: Shape::Single(server), counters })
    }

    /// Whether one server has all keys, so that a script can use keys of several slots.
    pub(in super::super) fn is_one_node(&self) -> bool {
        match self.shape {
            Shape::Single(_) => true,
        }
    }

    /// Runs a script on the server of its keys. It is sent in full if the server says that it doesn't have it.
    pub(in super::super) async fn script(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<Value, LinkError> {
        let Shape::Single(server) = &self.shape;
        let deadline = server.deadline();
        match server.call(&invocation("EVALSHA", script.hash(), keys, args), deadline).await {
            Err(error) if error.refusal() == Some(RefusalKind::NoScript) => {
                self.counters.scripts_sent.count();
                server.call(&invocation("EVAL", script.source(), keys, args), deadline).await
            }
            result => result,
        }
    }

    /// Sends a command to the server of its key.
    pub(in super::super) async fn command(&self, command: &Cmd) -> Result<Value, LinkError> {
        let Shape::Single(server) = &self.shape;
        server.call(command, server.deadline()).await
    }

    /// The primaries, in the order of their ids. Between them they have all keys.
    pub(in super::super) async fn primaries(&self) -> Result<Vec<Primary>, LinkError> {
        let Shape::Single(_) = &self.shape;
        Ok(vec![Primary { id: [0; 20] }])
    }

    /// Sends a command that has no key, such as `SCAN` or `INFO`, to a primary.
    pub(in super::super) async fn on(&self, _primary: Primary, command: &Cmd) -> Result<Value, LinkError> {
        let Shape::Single(server) = &self.shape;
        server.call(command, server.deadline()).await
    }

    pub(in super::super) fn statistics(&self) -> RedisStatistics {
        self.counters.statistics()
    }

    /// Waits until all that was sent before is answered.
    pub(in super::super) async fn flush(&self) -> Result<(), LinkError> {
        let Shape::Single(server) = &self.shape;
        server.flush().await
    }

    /// Takes no more requests, waits for the replies to those under way, and disconnects.
    pub(in super::super) async fn close(&self) -> Result<(), LinkError> {
        let Shape::Single(server) = &self.shape;
        server.close().await
    }
}

fn invocation(verb: &str, script: &str, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(keys.len());
    for part in keys.iter().chain(args) {
        command.arg(*part);
    }
    command
}
