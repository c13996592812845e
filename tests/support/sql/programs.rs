//! The server programs, and how to install them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const INSTALL: &str = "Debian: apt-get install -y postgresql mariadb-server pgbouncer libfaketime; or run scripts/test, \
                       which knows other package managers";

/// A program of the newest installed version of PostgreSQL. `POSTGRES_BIN` names another folder.
pub(super) fn postgres(name: &str) -> PathBuf {
    let mut folders: Vec<_> = env::var_os("POSTGRES_BIN").map(PathBuf::from).into_iter().collect();
    folders.extend(paths());
    // Distributions keep the server's programs outside of `PATH`, in a folder for each version.
    let mut versions: Vec<_> = entries("/usr/lib/postgresql").into_iter().map(|path| path.join("bin")).collect();
    versions
        .extend(entries("/usr/libexec").into_iter().filter(|path| path.display().to_string().contains("postgresql")));
    versions.sort_by_key(|path| digits(path));
    folders.extend(versions.into_iter().rev());
    find(name, &folders)
}

/// A program of MariaDB or PgBouncer.
pub(super) fn other(name: &str) -> PathBuf {
    let mut folders = paths();
    // A user's `PATH` doesn't include the folders of servers.
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from));
    find(name, &folders)
}

/// The library that shifts a process's clock, for `LD_PRELOAD`. `LIBFAKETIME` names another file.
pub(super) fn faketime() -> PathBuf {
    if let Some(path) = env::var_os("LIBFAKETIME") {
        return path.into();
    }
    let mut folders: Vec<_> = entries("/usr/lib").into_iter().map(|path| path.join("faketime")).collect();
    folders.extend(["/usr/lib/faketime", "/usr/lib64/faketime"].map(PathBuf::from));
    // The variant for multi-threaded processes.
    find("libfaketimeMT.so.1", &folders)
}

fn find(name: &str, folders: &[PathBuf]) -> PathBuf {
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is not installed ({INSTALL})"))
}

fn paths() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn digits(path: &Path) -> u32 {
    path.display().to_string().chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or_default()
}
