//! Real memcached processes, started by the tests and ended with them.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

#[path = "process.rs"]
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "each kind of server uses some of it, and a test can use several kinds"
)]
mod shared;

use self::shared::free_port;
pub use self::shared::signal;

/// A running memcached on its own port or socket.
pub struct Memcached {
    child: Option<Child>,
    listen: Listen,
    options: Vec<String>,
}

enum Listen {
    Port(u16),
    Socket(PathBuf),
}

impl Memcached {
    /// Starts a server on a free port of 127.0.0.1, with these options.
    pub fn start(options: &[&str]) -> Self {
        // Another process may take the port before it is used.
        for _ in 0..20 {
            let mut server = Self::new(Listen::Port(free_port()), options);
            if server.try_start() {
                return server;
            }
        }
        panic!("memcached does not start with {options:?}");
    }

    /// Starts a server on a Unix socket, with these options.
    pub fn start_on_socket(options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("session-layer-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut server = Self::new(Listen::Socket(std::env::temp_dir().join(name)), options);
        assert!(server.try_start(), "memcached does not start on a socket");
        server
    }

    /// Starts `count` servers.
    pub fn cluster(count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::start(&[])).collect()
    }

    fn new(listen: Listen, options: &[&str]) -> Self {
        Self { child: None, listen, options: options.iter().map(ToString::to_string).collect() }
    }

    /// The address, as in the store's settings.
    pub fn address(&self) -> String {
        match &self.listen {
            Listen::Port(port) => format!("127.0.0.1:{port}"),
            Listen::Socket(path) => path.display().to_string(),
        }
    }

    pub fn port(&self) -> u16 {
        match &self.listen {
            Listen::Port(port) => *port,
            Listen::Socket(_) => panic!("it has no port"),
        }
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("memcached");
        // As root, memcached requires this option; otherwise it has no effect.
        command.args(["-u", "root", "-t", "2"]);
        match &self.listen {
            Listen::Port(port) => command.args(["-l", "127.0.0.1", "-U", "0", "-p", &port.to_string()]),
            Listen::Socket(path) => command.arg("-s").arg(path),
        };
        let spawned = command.args(&self.options).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = spawned.expect("memcached is installed (Debian: apt-get install -y memcached)");
        let limit = Instant::now() + Duration::from_secs(10);
        while Instant::now() < limit {
            if child.try_wait().expect("a child's state").is_some() {
                return false;
            }
            if self.accepts() {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    fn accepts(&self) -> bool {
        match &self.listen {
            // If nobody listens, a connection's source port can equal its target port, so that it connects to itself.
            Listen::Port(port) => TcpStream::connect(("127.0.0.1", *port))
                .is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own.port() != *port)),
            Listen::Socket(path) => UnixStream::connect(path).is_ok(),
        }
    }

    /// Starts it again, empty, at the same address.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..20 {
            if self.try_start() {
                return;
            }
        }
        panic!("memcached does not start again at {}", self.address());
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Stops the process: it accepts connections and answers nothing.
    pub fn stall(&self) {
        signal(self.process(), "-STOP");
    }

    /// Resumes the process.
    pub fn resume(&self) {
        signal(self.process(), "-CONT");
    }

    /// The process id.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends these lines on a plain connection, and returns the answer up to a line that begins with `until`.
    pub fn ask(&self, lines: &str, until: &str) -> Vec<String> {
        match &self.listen {
            Listen::Port(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).expect("it accepts");
                stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
                Self::ask_on(stream, lines, until)
            }
            Listen::Socket(path) => {
                let stream = UnixStream::connect(path).expect("it accepts");
                stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
                Self::ask_on(stream, lines, until)
            }
        }
    }

    fn ask_on(mut stream: impl Read + Write, lines: &str, until: &str) -> Vec<String> {
        stream.write_all(lines.as_bytes()).expect("it reads");
        let mut seen = Vec::new();
        for line in BufReader::new(stream).split(b'\n') {
            let line = String::from_utf8_lossy(&line.expect("a line")).trim_end().to_owned();
            let end = line.starts_with(until);
            seen.push(line);
            if end {
                return seen;
            }
        }
        panic!("it answered {seen:?} and no {until}");
    }

    /// Returns a counter of its `stats`.
    pub fn stat(&self, name: &str) -> u64 {
        let lines = self.ask("stats\r\n", "END");
        let prefix = format!("STAT {name} ");
        let line = lines.iter().find_map(|line| line.strip_prefix(&prefix)).expect(name);
        line.parse().expect(name)
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        self.kill();
        if let Listen::Socket(path) = &self.listen {
            let _ = fs::remove_file(path);
        }
    }
}
