//! A master, its replicas, and Sentinels.

use std::fs;

use super::{connection::Reply, process::wait_until, program::Product, shared::free_port, single::Server};

/// A master with replicas, watched by three Sentinels.
pub struct Sentinels {
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
}

/// What the tests' Sentinels call their master.
pub const MASTER: &str = "sessions";

/// A test that fails shows what they have logged.
impl Drop for Sentinels {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in self.servers.iter().chain(&self.sentinels) {
                eprintln!("{}:\n{}", server.address(), server.log());
            }
        }
    }
}

impl Sentinels {
    /// A master with two replicas.
    pub fn start(product: Product) -> Self {
        Self::start_with(product, 2)
    }

    /// A master with so many replicas.
    pub fn start_with(product: Product, replicas: usize) -> Self {
        let servers: Vec<_> = (0..=replicas).map(|_| Server::start(product, &[])).collect();
        let port = servers[0].port().to_string();
        for replica in &servers[1..] {
            replica.cli(&["REPLICAOF", "127.0.0.1", &port]);
        }
        for replica in &servers[1..] {
            wait_until("the replicas are in sync", || replica.info("master_link_status") == "up");
        }
        wait_until("the master knows it", || servers[0].online_replicas() == servers.len() - 1);
        let sentinels: Vec<_> = (0..3).map(|_| sentinel(product, &port)).collect();
        let started = Self { servers, sentinels };
        for sentinel in &started.sentinels {
            wait_until("the Sentinels know each other and the replicas", || {
                let master = sentinel.cli(&["SENTINEL", "MASTER", MASTER]);
                let field = |name: &str| {
                    let words: Vec<_> = master.list().iter().map(Reply::text).collect();
                    words.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone()).unwrap_or_default()
                };
                field("num-slaves") == replicas.to_string()
                    && field("num-other-sentinels") == "2"
                    && field("flags") == "master"
            });
        }
        started
    }

    /// `127.0.0.1:port` of each Sentinel.
    pub fn addresses(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::address).collect()
    }

    /// The index of the server that the majority of the Sentinels takes for the master.
    pub fn master(&self) -> usize {
        let named = self.named();
        let votes = |index: &usize| named.iter().filter(|named| **named == *index).count();
        (0..self.servers.len()).max_by_key(votes).expect("servers")
    }

    /// The server that each Sentinel takes for the master.
    fn named(&self) -> Vec<usize> {
        let running = self.sentinels.iter().filter(|sentinel| sentinel.is_running());
        running.map(|sentinel| self.named_by(sentinel)).collect()
    }

    fn named_by(&self, sentinel: &Server) -> usize {
        let address = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
        let port = address.list()[1].number();
        self.servers.iter().position(|server| i64::from(server.port()) == port).expect("one of ours")
    }

    /// Waits until another server than `old` is the master, for all Sentinels and for itself.
    pub fn wait_for_other_master(&self, old: usize) -> usize {
        wait_until("another master is elected", || {
            let new = self.master();
            new != old && self.named().iter().all(|named| *named == new) && self.servers[new].info("role") == "master"
        });
        self.master()
    }

    /// Has the Sentinels promote a replica. Waits for it, and returns the new master's index.
    pub fn failover(&self) -> usize {
        let old = self.master();
        wait_until("the Sentinels begin a failover and go through with it", || {
            // It refuses while there is another, and gives up if it knows too little of the replicas.
            if self.named_by(&self.sentinels[0]) == old {
                let _ = self.sentinels[0].ask(&["SENTINEL", "FAILOVER", MASTER]);
            }
            self.master() != old
        });
        self.wait_for_other_master(old)
    }
}

fn sentinel(product: Product, master: &str) -> Server {
    for _ in 0..20 {
        let mut server = Server::new(product, &[], free_port(), |_| Vec::new());
        // It keeps its state in its settings' file.
        let file = server.folder.path().join("sentinel.conf");
        let settings = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nunixsocket {}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 4000\n",
            server.port,
            server.folder.path().display(),
            server.socket().display(),
        );
        fs::write(&file, settings).expect("written");
        server.arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        if server.try_start() {
            // By default it learns of replicas every 10 seconds, and of other Sentinels every 2.
            let periods = ["INFO-PERIOD", "500", "PUBLISH-PERIOD", "200", "PING-PERIOD", "200", "ASK-PERIOD", "200"];
            server.cli(&[&["SENTINEL", "DEBUG"][..], &periods].concat());
            return server;
        }
    }
    panic!("{product:?} does not start as a Sentinel");
}
