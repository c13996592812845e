//! Free ports, waiting and signals, for the helpers of all servers.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Returns a free port that no other server of this process has used. A server that is down for a moment keeps its port:
/// if the port were reused, its test would talk to another test's server.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = listener.expect("a free port").port();
        if GIVEN.lock().expect("no panic under it").insert(port) {
            return port;
        }
    }
}

/// Waits until the condition holds, at most this long.
pub fn wait_for(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < limit, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill");
    assert!(status.success(), "kill {signal}");
    // A stop takes effect with a delay, thread by thread.
    while signal == "-STOP" && !is_stopped(process) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all threads of a process are stopped or have ended, on systems that can tell.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['T', 'Z']))
    })
}
