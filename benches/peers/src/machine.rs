//! What a run's figures depend on: the day, the machine and the versions.

use std::process::Command;

use serde::Serialize;
use time::OffsetDateTime;

use crate::memcached;

/// Contains the releases that were built.
const LOCK: &str = include_str!("../../../Cargo.lock");
const PACKAGES: [&str; 6] = ["axum", "tokio", "tower-sessions", "tower-sessions-moka-store", "moka", "axum_session"];

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// The day in UTC, as `YYYY-MM-DD`.
    date: String,
    processor: String,
    /// The number of threads that can run at once.
    cores: usize,
    rustc: String,
    /// The packages' names and versions.
    versions: Vec<String>,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let mut versions: Vec<String> = PACKAGES.into_iter().flat_map(locked).collect();
        versions.extend(memcached::version());
        Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            processor: processor().unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            rustc: rustc().unwrap_or_else(|| "rustc of unknown version".to_owned()),
            versions,
        }
    }

    /// Formats this in one line.
    pub(crate) fn line(&self) -> String {
        let Self { date, processor, cores, rustc, versions } = self;
        format!("{date}, {cores} cores of {processor}, {rustc}; {}.", versions.join(", "))
    }
}

/// Returns every version of this package in the lock file.
fn locked(package: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::{PACKAGES, locked};
    use crate::subjects;

    #[test]
    fn every_package_has_its_version_and_the_names_of_the_subjects_have_the_same() {
        for package in PACKAGES {
            assert!(!locked(package).is_empty(), "{package} is not in the lock file");
        }
        for kind in subjects::ALL {
            let named = kind.name().split(',').next().unwrap_or_default();
            let Some((package, _)) = named.split_once(' ').filter(|(_, rest)| rest.starts_with("0.")) else { continue };
            assert!(locked(package).iter().any(|locked| locked.starts_with(named)), "{named} is not what is built");
        }
    }
}
