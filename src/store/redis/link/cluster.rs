//! The nodes of a cluster, and which of them has which slots.
//!
//! redis-rs has its own cluster client. It is not used, because it repeats a request by itself when a connection is
//! lost. Say the first request was carried out, and then another client wrote. The repeated request is answered with a
//! conflict, so a write that did happen would be reported as one that did not. Here, a request is sent again only if a
//! node answered that it did not carry it out.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Client, Cmd, ConnectionAddr};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    super::events::TARGET,
    connection::Delivery,
    counters::Counters,
    error::{Cause, LinkError, Redirect, RefusalKind},
    server::{Answer, Server},
    settings::LinkSettings,
    slots::{self, NodeAddress, SLOTS},
    target::{Target, elsewhere},
    tracking::Tracking,
};
use crate::store::backoff::Backoff;

/// The maximum number of redirects that a request follows. Without a limit, two nodes that point at each other would
/// keep it going.
const MOST_REDIRECTS: u32 = 8;

/// The pauses before repeating a request that a node could not carry out because the cluster is changing.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The minimum time between two queries for the map of slots.
const MAP_KEPT: Duration = Duration::from_millis(100);

/// A cluster: its nodes, and the connections to them.
pub(super) struct Cluster {
    /// The nodes that are queried while no other node is known or answers. Their settings apply to all nodes.
    seeds: Vec<Client>,
    settings: LinkSettings,
    counters: Arc<Counters>,
    tracking: Option<Arc<Tracking>>,
    map: Mutex<Arc<Map>>,
    /// Whether the map is known to be wrong.
    is_stale: AtomicBool,
    /// When the nodes were last queried. Locked during a query.
    asked: tokio::sync::Mutex<Option<Instant>>,
    is_closed: AtomicBool,
}

/// The map of nodes and slots.
#[derive(Default)]
struct Map {
    nodes: HashMap<NodeAddress, Arc<Node>>,
    /// The primary of each slot; empty while nothing is known.
    slots: Vec<Option<Arc<Node>>>,
}

/// A node of which at least the address is known.
struct Node {
    address: NodeAddress,
    /// `None` if only a redirect has named it.
    id: Option<[u8; 20]>,
    server: Arc<Server>,
}

impl Cluster {
    /// Creates a cluster without any connection. There must be at least one seed.
    pub(super) fn new(
        seeds: Vec<Client>,
        settings: LinkSettings,
        counters: Arc<Counters>,
        tracking: Option<Arc<Tracking>>,
    ) -> Self {
        Self {
            seeds,
            settings,
            counters,
            tracking,
            map: Mutex::default(),
            is_stale: AtomicBool::new(true),
            asked: tokio::sync::Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Sends a command to the primary of a key's slot, and follows redirects if the slot has moved.
    pub(super) async fn call(
        &self,
        key: &[u8],
        command: &Cmd,
        how: Delivery,
        deadline: Instant,
    ) -> Result<Answer, LinkError> {
        let slot = slots::slot_of(key);
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let (mut redirects, mut asked_again) = (0, false);
        let mut node = self.node_of(slot, deadline).await?;
        let mut asking = false;
        loop {
            let error = match node.server.call(command, Delivery { asking, by_primary: true, ..how }, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            asking = false;
            match &error {
                LinkError::Refused(refusal) => match (&refusal.redirect, refusal.kind) {
                    (Some(redirect), _) if redirects < MOST_REDIRECTS => {
                        redirects += 1;
                        self.counters.redirected.count();
                        let Some(target) = self.follow(slot, redirect, &node) else { return Err(error) };
                        (node, asking) = (target, redirect.ask);
                        continue;
                    }
                    // The keys of the request are on both sides of a move, or the cluster is electing a primary.
                    (None, RefusalKind::Cluster) => {
                        let until = Instant::now() + pauses.next();
                        if until >= deadline {
                            return Err(error);
                        }
                        sleep_until(until).await;
                    }
                    (None, RefusalKind::ReadOnly | RefusalKind::MasterDown) if !asked_again => asked_again = true,
                    _ => return Err(error),
                },
                LinkError::NotSent(Cause::Down(_)) if !asked_again => asked_again = true,
                // The node may have been replaced. The next request finds that out; this one has used up its time, or
                // may have been carried out.
                LinkError::Unanswered(_) => {
                    self.is_stale.store(true, Ordering::Release);
                    return Err(error);
                }
                LinkError::NotSent(_) | LinkError::NotReplicated { .. } => return Err(error),
            }
            self.is_stale.store(true, Ordering::Release);
            node = match self.node_of(slot, deadline).await {
                // The same node would give the same answer at once.
                Ok(same) if asked_again && Arc::ptr_eq(&same.server, &node.server) => return Err(error),
                Ok(node) => node,
                Err(_) => return Err(error),
            };
        }
    }

    /// The node that a redirect names. If the slot has moved, the map is updated for later requests.
    fn follow(&self, slot: u16, redirect: &Redirect, answered: &Node) -> Option<Arc<Node>> {
        let address = NodeAddress::parse(&redirect.node, &answered.address.host)?;
        let mut held = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let node = match held.nodes.get(&address) {
            Some(node) => Arc::clone(node),
            None => Arc::new(Node { server: self.server(&address)?, address, id: None }),
        };
        if !redirect.ask {
            let mut map = Map { nodes: held.nodes.clone(), slots: held.slots.clone() };
            map.nodes.insert(node.address.clone(), Arc::clone(&node));
            if let Some(entry) = map.slots.get_mut(usize::from(slot)) {
                *entry = Some(Arc::clone(&node));
            }
            *held = Arc::new(map);
            // A slot rarely moves alone.
            self.is_stale.store(true, Ordering::Release);
        }
        Some(node)
    }

    fn server(&self, address: &NodeAddress) -> Option<Arc<Server>> {
        let client = elsewhere(self.seeds.first()?, address.host.clone(), address.port).ok()?;
        let target = Target::server(&client).ok()?;
        let (settings, counters) = (self.settings.clone(), Arc::clone(&self.counters));
        Some(Arc::new(Server::new(target, settings, counters, self.tracking.clone())))
    }

    /// The primary of a slot, by the map.
    async fn node_of(&self, slot: u16, deadline: Instant) -> Result<Arc<Node>, LinkError> {
        let map = self.map(deadline).await?;
        let node = map.slots.get(usize::from(slot)).cloned().flatten();
        node.ok_or_else(|| {
            self.is_stale.store(true, Ordering::Release);
            LinkError::NotSent(Cause::Down(format!("no node of the cluster has slot {slot}").into()))
        })
    }

    /// Returns the current map. If there is none, or it is known to be wrong, the nodes are queried first.
    async fn map(&self, deadline: Instant) -> Result<Arc<Map>, LinkError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LinkError::NotSent(Cause::Closed));
        }
        let held = || Arc::clone(&self.map.lock().unwrap_or_else(PoisonError::into_inner));
        let map = held();
        if !self.is_stale.load(Ordering::Acquire) {
            return Ok(map);
        }
        let overdue = || LinkError::NotSent(Cause::Overdue(self.settings.request_timeout));
        let mut asked = timeout_at(deadline, self.asked.lock()).await.map_err(|_| overdue())?;
        let is_recent = asked.is_some_and(|asked| asked.elapsed() < MAP_KEPT);
        // Another request may have updated it in the meantime.
        let map = held();
        if !map.slots.is_empty() && (is_recent || !self.is_stale.load(Ordering::Acquire)) {
            return Ok(map);
        }
        let found = timeout_at(deadline, self.ask(&map, deadline)).await.unwrap_or_else(|_| Err(overdue()));
        *asked = Some(Instant::now());
        match found {
            Ok(found) => {
                self.is_stale.store(false, Ordering::Release);
                let found = Arc::new(found);
                *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
                Ok(found)
            }
            // The previous map may still be right about other slots.
            Err(error) if map.slots.is_empty() => Err(error),
            Err(_) => Ok(map),
        }
    }

    /// Queries the nodes for the map: first the known ones and, if none of them answers, the seeds.
    async fn ask(&self, known: &Map, deadline: Instant) -> Result<Map, LinkError> {
        self.counters.cluster_maps.count();
        let mut last = LinkError::NotSent(Cause::Down("no node of the cluster is known".into()));
        if !known.nodes.is_empty() {
            let nodes: Vec<_> =
                known.nodes.values().map(|node| (node.address.clone(), Arc::clone(&node.server))).collect();
            let now = Instant::now();
            match ask_all(nodes, now + deadline.saturating_duration_since(now) / 2).await {
                Ok(ranges) => return self.read(&ranges, known).ok_or(last),
                Err(error) => last = error,
            }
        }
        let mut seeds = Vec::with_capacity(self.seeds.len());
        for seed in &self.seeds {
            let info = seed.get_connection_info();
            if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = info.addr() {
                let address = NodeAddress { host: host.clone(), port: *port };
                if !known.nodes.contains_key(&address)
                    && let Some(server) = self.server(&address)
                {
                    seeds.push((address, server));
                }
            }
        }
        if !seeds.is_empty() {
            match ask_all(seeds, deadline).await {
                Ok(ranges) => return self.read(&ranges, known).ok_or(last),
                Err(error) => last = error,
            }
        }
        tracing::warn!(target: TARGET, error = %last, "no node of the cluster answers");
        Err(last)
    }

    /// Builds a map from these ranges. Nodes that were known keep their connections.
    fn read(&self, ranges: &[slots::Range], known: &Map) -> Option<Map> {
        let mut map = Map { nodes: HashMap::new(), slots: vec![None; SLOTS] };
        for range in ranges {
            let node = match map.nodes.get(&range.address) {
                Some(node) => Arc::clone(node),
                None => {
                    let server = match known.nodes.get(&range.address) {
                        Some(node) => Arc::clone(&node.server),
                        None => self.server(&range.address)?,
                    };
                    let node = Arc::new(Node { address: range.address.clone(), id: Some(range.id), server });
                    map.nodes.insert(range.address.clone(), Arc::clone(&node));
                    node
                }
            };
            map.slots[usize::from(range.first)..=usize::from(range.last)].fill(Some(node));
        }
        Some(map)
    }

    /// The ids of the primaries, in ascending order. Together, the primaries have all keys.
    pub(super) async fn primaries(&self, deadline: Instant) -> Result<Vec<[u8; 20]>, LinkError> {
        let map = self.map(deadline).await?;
        if let Some(slot) = map.slots.iter().position(Option::is_none) {
            self.is_stale.store(true, Ordering::Release);
            return Err(LinkError::NotSent(Cause::Down(format!("no node of the cluster has slot {slot}").into())));
        }
        let mut ids: Vec<_> = map.nodes.values().filter_map(|node| node.id).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Sends a command without a key to a primary.
    pub(super) async fn on(&self, id: &[u8; 20], command: &Cmd, deadline: Instant) -> Result<Answer, LinkError> {
        let map = self.map(deadline).await?;
        let Some(node) = map.nodes.values().find(|node| node.id.as_ref() == Some(id)) else {
            return Err(LinkError::NotSent(Cause::Down("this node is no longer a primary".into())));
        };
        let result = node.server.call(command, Delivery::default(), deadline).await;
        if matches!(result, Err(LinkError::NotSent(_) | LinkError::Unanswered(_))) {
            self.is_stale.store(true, Ordering::Release);
        }
        result
    }

    fn servers(&self) -> Vec<Arc<Server>> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        map.nodes.values().map(|node| Arc::clone(&node.server)).collect()
    }

    /// Waits until every request that was sent before is answered.
    pub(super) async fn flush(&self) -> Result<(), LinkError> {
        let mut flushed = Ok(());
        for server in self.servers() {
            flushed = flushed.and(server.flush().await);
        }
        flushed
    }

    /// Refuses new requests, waits for the replies to those in progress, and disconnects.
    pub(super) async fn close(&self) -> Result<(), LinkError> {
        self.is_closed.store(true, Ordering::Release);
        let mut closed = Ok(());
        for server in self.servers() {
            closed = closed.and(server.close().await);
        }
        closed
    }
}

/// Queries all of these nodes concurrently. The first answer is used: if it is wrong, the nodes that it names will
/// redirect.
async fn ask_all(nodes: Vec<(NodeAddress, Arc<Server>)>, deadline: Instant) -> Result<Vec<slots::Range>, LinkError> {
    let mut asked = JoinSet::new();
    for (address, server) in nodes {
        asked.spawn(async move {
            let mut command = redis::cmd("CLUSTER");
            command.arg("SLOTS");
            let (reply, _) = server.call(&command, Delivery::default(), deadline).await?;
            let ranges = slots::read(&reply, &address.host).filter(|ranges| !ranges.is_empty());
            ranges.ok_or_else(|| {
                let why = format!("{} is not in a cluster with slots", server.name());
                LinkError::NotSent(Cause::Unsuitable(why.into()))
            })
        });
    }
    let mut last = LinkError::NotSent(Cause::Down("no node of the cluster answers".into()));
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(ranges)) => return Ok(ranges),
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.servers().iter().map(|server| server.name().to_owned()).collect();
        f.debug_struct("Cluster").field("nodes", &nodes).finish_non_exhaustive()
    }
}
