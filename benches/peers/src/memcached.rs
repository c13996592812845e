//! A memcached server for the benchmark.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The command that installs it.
pub(crate) const INSTALL: &str = "apt-get install -y memcached";
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns its version, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("memcached").arg("-V").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Memcached {
    child: Child,
    port: u16,
}

impl Memcached {
    /// Starts a server with room for a million sessions.
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let child = Command::new("memcached")
            // It refuses to run as root without this option, which otherwise has no effect.
            .args(["-u", "root", "-U", "0", "-t", "2", "-m", "4096", "-l", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .expect("it was found when the bench began");
        let server = Self { child, port };
        let limit = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < limit, "memcached does not answer on port {port}");
            std::thread::sleep(Duration::from_millis(2));
        }
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
