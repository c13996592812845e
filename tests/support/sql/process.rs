//! A server's process.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command},
    time::{Duration, Instant},
};

pub use super::shared::signal;
use super::{folder::Folder, shared::wait_for};

/// More time than any start takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A process and its children.
pub(super) struct Process(Child);

impl Process {
    /// Starts a process. `None` if it ended before it served, which happens if another process has its port.
    pub(super) fn start(mut command: Command, folder: &Folder, serves: impl Fn() -> bool) -> Option<Self> {
        let program = command.get_program().to_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut process = Self(child);
        folder.set_process(Some(process.id()));
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            if process.0.try_wait().expect("a child's state").is_some() {
                folder.set_process(None);
                return None;
            }
            if serves() {
                return Some(process);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        process.kill(folder);
        None
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The ids of the process and its children. PostgreSQL has one child for each connection.
    pub(super) fn all(&self) -> Vec<u32> {
        [vec![self.id()], children(self.id())].concat()
    }

    /// Sends a signal to all of them, starting with the parent, which could start more children.
    pub(super) fn signal_all(&self, name: &str) {
        signal(self.id(), name);
        for child in children(self.id()) {
            // A child may have ended in the meantime.
            let _ = Command::new("kill").args([name, &child.to_string()]).output();
        }
    }

    /// Kills all of them with SIGKILL.
    pub(super) fn kill(mut self, folder: &Folder) {
        // Stop it first, so that it starts no more children: the next start would refuse to run beside those.
        signal(self.id(), "-STOP");
        let children = children(self.id());
        for child in &children {
            let _ = Command::new("kill").args(["-KILL", &child.to_string()]).output();
        }
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
        wait_until("the server's processes end", || !children.iter().any(|child| is_running(*child)));
        folder.set_process(None);
    }

    /// Ends it with this signal; kills it if it doesn't end.
    pub(super) fn end(mut self, name: &str, folder: &Folder) {
        self.signal_all("-CONT");
        signal(self.id(), name);
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            if self.0.try_wait().expect("a child's state").is_some() {
                folder.set_process(None);
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill(folder);
    }
}

/// The direct children of a process, on systems with `/proc`.
fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent)).collect()
}

fn is_running(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != 'Z')
}

/// The state and the parent of a process.
fn stat(process: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// Whether a process listens on this port.
pub(super) fn accepts(port: u16) -> bool {
    // If none does, a connection's source port can equal its target port, so that it connects to itself.
    TcpStream::connect(("127.0.0.1", port)).is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own.port() != port))
}

/// Waits until the condition holds.
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_for(PATIENCE, what, holds);
}
