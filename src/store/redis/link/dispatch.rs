//! Sends each request to the server of its keys.

use std::sync::Arc;

use redis::{Client, Cmd, Value, sentinel::SentinelClient};
use tokio::time::Instant;

use super::{
    super::script::Script,
    cluster::Cluster,
    connection::{Connection, Delivery, keys},
    counters::{Counters, RedisStatistics},
    error::{LinkError, RefusalKind},
    server::{Answer, Server},
    settings::LinkSettings,
    target::Target,
    tracking::{Mark, Tracking},
};

/// All connections of one store.
#[derive(Debug)]
pub(in super::super) struct Link {
    shape: Shape,
    settings: LinkSettings,
    counters: Arc<Counters>,
    tracking: Option<Arc<Tracking>>,
}

/// How the servers are arranged.
#[derive(Debug)]
enum Shape {
    /// One server has all keys. With Sentinel, it can be a different one after each failover.
    Single(Box<Server>),
    /// Several servers, each with the keys of its slots.
    Cluster(Cluster),
}

/// A server that has keys that no other server has, as a cursor names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Primary {
    /// A cluster node's id: its 40 hexadecimal digits as bytes. All zeros for a single server.
    pub(in super::super) id: [u8; 20],
}

impl Link {
    /// A link to one server. Nothing is connected yet.
    pub(in super::super) fn single(client: &Client, settings: LinkSettings) -> redis::RedisResult<Self> {
        Ok(Self::to(Target::server(client)?, settings))
    }

    /// A link to the primary with this name, by Sentinels; with TLS or without. Nothing is connected yet.
    pub(in super::super) fn sentinel(
        sentinels: SentinelClient,
        name: String,
        tls: bool,
        settings: LinkSettings,
    ) -> Self {
        Self::to(Target::master(sentinels, name, tls), settings)
    }

    /// A link to a cluster, of which at least one node is given. Nothing is connected yet.
    pub(in super::super) fn cluster(seeds: Vec<Client>, settings: LinkSettings) -> Self {
        let (counters, tracking) = counters(&settings);
        let cluster = Cluster::new(seeds, settings.clone(), Arc::clone(&counters), tracking.clone());
        Self { shape: Shape::Cluster(cluster), settings, counters, tracking }
    }

    fn to(target: Target, settings: LinkSettings) -> Self {
        let (counters, tracking) = counters(&settings);
        let server = Server::new(target, settings.clone(), Arc::clone(&counters), tracking.clone());
        Self { shape: Shape::Single(Box::new(server)), settings, counters, tracking }
    }

    /// Whether one server has all keys, so that a script can use keys of several slots.
    pub(in super::super) fn is_one_node(&self) -> bool {
        matches!(self.shape, Shape::Single(_))
    }

    /// Whether writes wait for replicas. Then a write that is read back is still not acknowledged, since replicas may
    /// lack it.
    pub(in super::super) fn waits_for_replicas(&self) -> bool {
        self.settings.replicas > 0
    }

    /// Runs a script on the server of its keys, of which there is at least one. If the server doesn't have the script,
    /// it is sent in full.
    ///
    /// With `read_back`, this range of the value under the first key is read right after the script, in the same round
    /// trip, and the reply is an array of the two replies.
    pub(in super::super) async fn script(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        args: &[&[u8]],
        read_back: Option<(u8, u8)>,
    ) -> Result<Answer, LinkError> {
        let deadline = self.deadline();
        let replicas = if script.writes() { self.settings.replicas } else { 0 };
        // A replica refuses each script: it writes, or ends with a removal that changes nothing.
        let how = Delivery { asking: false, replicas, by_primary: true, read_back };
        let call = async |command: Cmd| self.call(keys.first().copied(), &command, how, deadline).await;
        match call(invocation("EVALSHA", script.hash(), keys, args)).await {
            Err(error) if error.refusal() == Some(RefusalKind::NoScript) => {
                self.counters.scripts_sent.count();
                call(invocation("EVAL", script.source(), keys, args)).await
            }
            result => result,
        }
    }

    /// Sends a command to the server of its key, which is the command's first argument.
    pub(in super::super) async fn command(&self, command: &Cmd) -> Result<Answer, LinkError> {
        self.call(keys(command, 1).next(), command, Delivery::default(), self.deadline()).await
    }

    /// Sends a command that reads to the server of its key, which is the command's first argument. A server that has
    /// become a replica may still answer for 100 ms. Its data may be old, or missing while it copies the primary's, so
    /// the caller must not conclude that a key is gone.
    ///
    /// A replica in a cluster refuses reads by itself. Elsewhere, every 100 ms, the removal of a key that never exists
    /// (the command's key followed by `:none`) is sent before the command. It changes nothing, and a replica refuses
    /// it.
    pub(in super::super) async fn read(&self, command: &Cmd) -> Result<Answer, LinkError> {
        match &self.shape {
            Shape::Single(server) => server.read(command, self.deadline()).await,
            Shape::Cluster(_) => self.command(command).await,
        }
    }

    async fn call(
        &self,
        key: Option<&[u8]>,
        command: &Cmd,
        how: Delivery,
        deadline: Instant,
    ) -> Result<Answer, LinkError> {
        match &self.shape {
            Shape::Single(server) => server.call(command, how, deadline).await,
            // Boxed, so that the future of a request to a single server doesn't reserve room for this.
            Shape::Cluster(cluster) => Box::pin(cluster.call(key.unwrap_or_default(), command, how, deadline)).await,
        }
    }

    /// The primaries, in the order of their ids. Together, they have all keys.
    pub(in super::super) async fn primaries(&self) -> Result<Vec<Primary>, LinkError> {
        match &self.shape {
            Shape::Single(_) => Ok(vec![Primary { id: [0; 20] }]),
            Shape::Cluster(cluster) => {
                let ids = cluster.primaries(self.deadline()).await?;
                Ok(ids.into_iter().map(|id| Primary { id }).collect())
            }
        }
    }

    /// Sends a command without a key, such as `SCAN` or `INFO`, to a primary.
    pub(in super::super) async fn on(&self, primary: Primary, command: &Cmd) -> Result<Value, LinkError> {
        let answer = match &self.shape {
            Shape::Single(server) => server.call(command, Delivery::default(), self.deadline()).await,
            Shape::Cluster(cluster) => cluster.on(&primary.id, command, self.deadline()).await,
        };
        answer.map(|(reply, _)| reply)
    }

    /// Marks the state of two keys before they are read, if servers report changes.
    pub(in super::super) fn mark(&self, keys: [&[u8]; 2]) -> Option<Mark> {
        self.tracking.as_ref().map(|tracking| tracking.mark(keys))
    }

    /// Like [`mark`](Self::mark), for two keys of a command that follow each other. `first` is the number of the argument
    /// that is the first of them.
    pub(in super::super) fn mark_of(&self, command: &Cmd, first: usize) -> Option<Mark> {
        let mut keys = keys(command, first);
        self.mark([keys.next()?, keys.next()?])
    }

    /// Returns whether a value that was read after this mark, and was answered on this connection, is still the stored
    /// one, as far as the server has reported.
    pub(in super::super) fn is_current(&self, mark: Mark, connection: &Connection) -> bool {
        let window = self.settings.tracking.unwrap_or_default();
        // In this order: an answer that proves the connection comes after the changes that were reported before it.
        connection.is_proven(window) && self.tracking.as_ref().is_some_and(|tracking| tracking.is_unchanged(mark))
    }

    /// Whether servers report changes.
    pub(in super::super) fn is_tracking(&self) -> bool {
        self.tracking.is_some()
    }

    /// Returns the mark of a value that this process has written and then read back, with this mark from before. The
    /// change of the first key must have been noted with [`changing`](Self::changing).
    ///
    /// Returns `None` unless exactly two changes of the first key have been noted since, and none of the second: that
    /// one, and the one that the server has reported. The server sends its message between the replies to the two
    /// requests, so it has arrived. This relies on the script to have written the key: without the message, another
    /// client's change could be taken for this one.
    pub(in super::super) fn mark_of_own(&self, before: Mark) -> Option<Mark> {
        let mark = before.after_own_change();
        self.tracking.as_ref().filter(|tracking| tracking.is_unchanged(mark)).map(|_| mark)
    }

    /// Returns a guard. When dropped, it notes that this process may have changed these keys.
    pub(in super::super) fn changing<'a>(&'a self, keys: &'a [&'a str]) -> impl Drop + 'a {
        Changing { tracking: self.tracking.as_deref(), keys }
    }

    pub(in super::super) fn statistics(&self) -> RedisStatistics {
        self.counters.statistics()
    }

    /// Waits until every request that was sent before is answered.
    pub(in super::super) async fn flush(&self) -> Result<(), LinkError> {
        match &self.shape {
            Shape::Single(server) => server.flush().await,
            Shape::Cluster(cluster) => cluster.flush().await,
        }
    }

    /// Refuses new requests, waits for the replies to those in progress, and disconnects.
    pub(in super::super) async fn close(&self) -> Result<(), LinkError> {
        match &self.shape {
            Shape::Single(server) => server.close().await,
            Shape::Cluster(cluster) => cluster.close().await,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.request_timeout
    }
}

/// A write to these keys in progress.
struct Changing<'a> {
    tracking: Option<&'a Tracking>,
    keys: &'a [&'a str],
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if let Some(tracking) = self.tracking {
            self.keys.iter().for_each(|key| tracking.changed(key.as_bytes()));
        }
    }
}

fn counters(settings: &LinkSettings) -> (Arc<Counters>, Option<Arc<Tracking>>) {
    let counters = Arc::<Counters>::default();
    let tracking = settings.tracking.map(|_| Arc::new(Tracking::new(Arc::clone(&counters))));
    (counters, tracking)
}

fn invocation(verb: &str, script: &str, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let bytes = keys.iter().chain(args).map(|part| part.len()).sum::<usize>();
    let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), verb.len() + script.len() + 2 + bytes);
    command.arg(verb).arg(script).arg(keys.len());
    for part in keys.iter().chain(args) {
        command.arg(*part);
    }
    command
}
