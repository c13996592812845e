//! One server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    connection::{Connection, Reply},
    monitor::Monitor,
    process::{PATIENCE, signal},
    program::Product,
    shared::free_port,
};
use crate::certificate::Certificate;

/// A running server.
pub struct Server {
    product: Product,
    child: Option<Child>,
    pub(super) port: u16,
    pub(super) folder: tempfile::TempDir,
    pub(super) arguments: Vec<String>,
    /// The password of the default user, for the helpers.
    pub(super) password: Option<String>,
}

impl Server {
    /// Starts one on a free port of 127.0.0.1, with these arguments as on its command line, such as
    /// `["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"]`.
    pub fn start(product: Product, arguments: &[&str]) -> Self {
        Self::start_as(product, arguments, |port| vec!["--port".to_owned(), port.to_string()])
    }

    /// Starts one that answers on a TLS port only.
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

    /// Whether its process runs, be it stopped.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Starts one whose default user has this password.
    pub fn start_with_password(product: Product, password: &str) -> Self {
        let mut server = Self::new(product, &["--requirepass", password], free_port(), |port| {
            vec!["--port".to_owned(), port.to_string()]
        });
        server.password = Some(password.to_owned());
        server.restart();
        server
    }

    pub(super) fn start_as(product: Product, arguments: &[&str], listen: impl Fn(u16) -> Vec<String>) -> Self {
        // Another process may take the port before it is used.
        for _ in 0..20 {
            let mut server = Self::new(product, arguments, free_port(), &listen);
            if server.try_start() {
                return server;
            }
        }
        panic!("{product:?} does not start with {arguments:?}");
    }

    pub(super) fn new(product: Product, arguments: &[&str], port: u16, listen: impl Fn(u16) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display().to_string();
        let mut all = listen(port);
        all.extend(["--bind", "127.0.0.1", "--dir", &path, "--unixsocket"].map(str::to_owned));
        all.push(folder.path().join("socket").display().to_string());
        // No snapshots, and replicas that need no time to begin.
        let quick = ["--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"];
        all.extend(quick.map(str::to_owned));
        all.extend(["--enable-debug-command", "yes"].map(str::to_owned));
        all.extend(arguments.iter().map(ToString::to_string));
        Self { product, child: None, port, folder, arguments: all, password: None }
    }

    pub(super) fn try_start(&mut self) -> bool {
        let program = self.product.program();
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let spawned = Command::new(program).args(&self.arguments).stdout(log).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{error}: {}", self.product.install()));
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            if child.try_wait().expect("a child's state").is_some() {
                return false;
            }
            // A socket is left behind by a kill, so that only an answer counts: also one that it is still loading.
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

    /// The folder of its data, which a restart keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged since its last start.
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

    /// Runs a command. An answer that is an error is a reply; a server that doesn't answer is an error.
    pub fn ask(&self, words: &[&str]) -> std::io::Result<Reply> {
        let mut connection = Connection::open(self)?;
        connection.ask(words)
    }

    /// A field of `INFO`.
    pub fn info(&self, name: &str) -> String {
        let words = ["INFO", "everything"];
        // A Sentinel that makes it a replica closes all connections, and this one may be among them.
        let reply = self.ask(&words).unwrap_or_else(|_| self.cli(&words));
        let text = reply.text();
        let field = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        field.map(ToOwned::to_owned).unwrap_or_default()
    }

    /// How many replicas it replicates to. One that is in sync is not among them until it has confirmed something,
    /// which it does once a second; until then it doesn't count for `WAIT`.
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

    /// Starts it again at the same address, with what it has on disk. It may still be loading.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..20 {
            if self.try_start() {
                return;
            }
        }
        panic!("{:?} does not start again at {}:\n{}", self.product, self.address(), self.log());
    }

    /// Starts it again, also with these arguments.
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
