//! The conditions of a run: the date, the machine, and the versions.

use std::process::Command;

use serde::Serialize;
use time::OffsetDateTime;

/// Contains the versions that were built.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Debug, Serialize)]
pub struct Machine {
    /// In UTC, as `YYYY-MM-DD`.
    date: String,
    processor: String,
    /// The number of threads that can run at once.
    cores: usize,
    rustc: String,
    /// Names with versions.
    versions: Vec<String>,
}

impl Machine {
    /// Describes this machine, with the versions of these packages and servers.
    pub fn here(packages: &[&str], servers: impl IntoIterator<Item = String>) -> Self {
        let mut versions: Vec<String> = packages.iter().copied().flat_map(locked).collect();
        versions.extend(servers);
        Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            processor: processor().unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            rustc: rustc().unwrap_or_else(|| "rustc of unknown version".to_owned()),
            versions,
        }
    }

    /// Formats this as one line.
    pub fn line(&self) -> String {
        let Self { date, processor, cores, rustc, versions } = self;
        format!("{date}, {cores} cores of {processor}, {rustc}; {}.", versions.join(", "))
    }
}

/// Every version of this package in the lock file.
pub fn locked(package: &str) -> Vec<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines();
    let mut found = Vec::new();
    while lines.any(|line| line == name) {
        let version = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
        found.extend(version.map(|version| format!("{package} {version}")));
    }
    found
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}
