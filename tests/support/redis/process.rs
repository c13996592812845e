//! Waiting for servers, and signals to them.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// More than any start, sync or election takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill");
    assert!(status.success(), "kill {signal}");
    // A stop takes effect thread by thread, after some time.
    while signal == "-STOP" && !is_stopped(process) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether all threads of a process are stopped, on systems that can tell.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('T'))
    })
}
