//! A cluster.

use super::{connection::Reply, process::wait_until, program::Product, shared::free_port, single::Server};
use crate::certificate::Certificate;

/// A cluster: primaries, each with the same number of replicas.
pub struct Cluster {
    /// First the primaries in the order of their slots, then the replicas: that of primary `i` is `primaries + i`.
    pub nodes: Vec<Server>,
    primaries: usize,
}

impl Cluster {
    /// Three primaries with one replica each.
    pub fn start(product: Product) -> Self {
        Self::start_with(product, 3, 1, &[])
    }

    pub fn start_with(product: Product, primaries: usize, replicas: usize, arguments: &[&str]) -> Self {
        Self::join((0..primaries * (1 + replicas)).map(|_| node(product, arguments)).collect(), primaries)
    }

    /// Three primaries without replicas, which talk by TLS with their clients and with each other.
    pub fn start_tls(certificate: &Certificate) -> Self {
        Self::join((0..3).map(|_| tls_node(certificate)).collect(), 3)
    }

    fn join(nodes: Vec<Server>, primaries: usize) -> Self {
        for (index, one) in nodes.iter().enumerate() {
            one.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            for other in nodes.iter().take(index) {
                let (port, bus) = (other.port().to_string(), bus_port(other).to_string());
                one.cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        for (index, primary) in nodes.iter().enumerate().take(primaries) {
            let slot = |of: usize| of * 16_384 / primaries;
            let (first, last) = (slot(index).to_string(), (slot(index + 1) - 1).to_string());
            primary.cli(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        let known = format!("cluster_known_nodes:{}", nodes.len());
        for one in &nodes {
            wait_until("the nodes know each other", || {
                let line = one.cli(&["CLUSTER", "NODES"]).text();
                one.cli(&["CLUSTER", "INFO"]).text().contains(&known) && !line.contains("handshake")
            });
        }
        let cluster = Self { nodes, primaries };
        for (index, replica) in cluster.nodes.iter().enumerate().skip(primaries) {
            let primary = cluster.nodes[index % primaries].cli(&["CLUSTER", "MYID"]).text();
            replica.cli(&["CLUSTER", "REPLICATE", &primary]);
        }
        cluster.wait_until_healthy();
        cluster
    }

    /// Waits until every running node says that all slots are served, and every running replica is in sync.
    pub fn wait_until_healthy(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            wait_until("all slots are served and replicas in sync", || {
                node.cli(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok")
                    && (node.info("role") == "master" || node.info("master_link_status") == "up")
                    && node.info("connected_slaves") == node.online_replicas().to_string()
            });
        }
        // Each node's view of the slots, which clients ask for, is complete as well.
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            wait_until("each range of slots has its replicas", || {
                let slots = node.cli(&["CLUSTER", "SLOTS"]);
                slots.list().len() >= self.primaries
                    && slots.list().iter().all(|range| range.list().len() == 2 + self.nodes.len() / self.primaries)
                    || self.nodes.iter().any(|node| !node.is_running())
            });
        }
    }

    pub fn primaries(&self) -> &[Server] {
        &self.nodes[..self.primaries]
    }

    /// `127.0.0.1:port` of each node.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Server::address).collect()
    }

    /// The index of the primary that serves this slot now.
    pub fn primary_of(&self, slot: u16) -> usize {
        let asked = self.nodes.iter().find(|node| node.is_running()).expect("a running node");
        let slots = asked.cli(&["CLUSTER", "SLOTS"]);
        let port = slots.list().iter().find_map(|range| {
            let range = range.list();
            let has = (range[0].number()..=range[1].number()).contains(&i64::from(slot));
            has.then(|| range[2].list()[1].number())
        });
        let port = port.unwrap_or_else(|| panic!("nobody serves slot {slot}"));
        self.nodes.iter().position(|node| i64::from(node.port()) == port).expect("one of ours")
    }

    /// Moves a slot with its keys from the primary that serves it to another: `MIGRATING`, `IMPORTING`, `MIGRATE`.
    /// Between the steps, `between` is called with the number of keys that are still to be moved.
    pub fn migrate(&self, slot: u16, to: usize, mut between: impl FnMut(usize)) {
        let from = self.primary_of(slot);
        let id = |index: usize| self.nodes[index].cli(&["CLUSTER", "MYID"]).text();
        let (number, source, target) = (slot.to_string(), id(from), id(to));
        self.nodes[to].cli(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &source]);
        self.nodes[from].cli(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &target]);
        let port = self.nodes[to].port().to_string();
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &number, "1"]);
            let left = self.nodes[from].cli(&["CLUSTER", "COUNTKEYSINSLOT", &number]).number();
            between(usize::try_from(left).expect("a count"));
            let Some(key) = keys.list().first() else { break };
            self.nodes[from].cli(&["MIGRATE", "127.0.0.1", &port, &key.text(), "0", "10000"]);
        }
        // The target first: it alone must not forget the slot.
        for index in [to, from].into_iter().chain((0..self.primaries).filter(|index| *index != to && *index != from)) {
            self.nodes[index].cli(&["CLUSTER", "SETSLOT", &number, "NODE", &target]);
        }
    }
}

fn node(product: Product, arguments: &[&str]) -> Server {
    let mut all =
        vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-replica-validity-factor"];
    all.push("0");
    all.extend(arguments);
    Server::start_as(product, &all, |port| {
        // The default, the port and 10,000, may be taken or more than 65,535.
        let words = ["--port", &port.to_string(), "--cluster-port", &free_port().to_string()];
        words.map(str::to_owned).into()
    })
}

fn tls_node(certificate: &Certificate) -> Server {
    let bus = free_port().to_string();
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
    Server::start_tls(certificate, &[&arguments[..], &["--tls-cluster", "yes", "--tls-replication", "yes"]].concat())
}

fn bus_port(server: &Server) -> u16 {
    let at = server.arguments.iter().position(|word| word == "--cluster-port").expect("a node of a cluster");
    server.arguments[at + 1].parse().expect("a port")
}

/// The slot of a key, or of its hash tag.
pub fn slot_of(server: &Server, key: &str) -> u16 {
    u16::try_from(server.cli(&["CLUSTER", "KEYSLOT", key]).number()).expect("a slot")
}
