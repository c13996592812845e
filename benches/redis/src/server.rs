//! The Redis or Valkey server that the benchmark starts.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bench_support::processor;
use tempfile::TempDir;

/// The command that installs a server.
pub(crate) const INSTALL: &str = "apt-get install -y redis-server";
const PATIENCE: Duration = Duration::from_secs(10);

/// `redis-server`, or what `REDIS_SERVER` names.
fn program() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// The server's name and version, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(program()).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// A running server. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    /// Starts a server that saves nothing.
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new(program())
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it was found when the bench began");
        let server = Self { child, port, _folder: folder };
        let limit = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < limit, "{} does not answer on port {port}", program());
            std::thread::sleep(Duration::from_millis(2));
        }
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The processor time that the server has used, in seconds.
    pub(crate) fn processor_time(&self) -> f64 {
        processor::time(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
