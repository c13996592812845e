//! The database file.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{execute::failed, settings::Place};
use crate::store::{
    StoreErrorKind,
    durability::Durability,
    sql::{
        error::{Meaning, SqlStoreError},
        events::TARGET,
    },
};

/// The number of prepared statements that a connection keeps; enough for all statements of a store.
const STATEMENTS: usize = 64;

/// The pause between two attempts to switch a file to a write-ahead log.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the writer's connection.
pub(super) fn open(place: &Place, durability: Durability, busy: Duration) -> Result<Connection, SqlStoreError> {
    let connection = match place {
        Place::Memory => Connection::open_in_memory().map_err(failed)?,
        Place::File { path, create } => {
            prepare(path, *create).map_err(|error| refused(path, error))?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags).map_err(failed)?
        }
    };
    set_up(&connection, busy)?;
    if matches!(place, Place::File { .. }) {
        let mode = use_log(&connection, busy)?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(SqlStoreError::setup(format!(
                "SQLite can't use a write-ahead log here, and stays in mode {mode:?}: put the file on a local disk"
            )));
        }
    }
    set_synchronous(&connection, durability, true)?;
    Ok(connection)
}

/// Switches the file to a write-ahead log; returns its journal mode afterwards.
///
/// If two connections switch a new file at once, each could wait for the other. So SQLite refuses one of them without
/// waiting, whatever its busy timeout, and the loop tries again.
fn use_log(connection: &Connection, busy: Duration) -> Result<String, SqlStoreError> {
    let deadline = Instant::now() + busy;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            mode => return mode.map_err(failed),
        }
    }
}

/// Opens a reader's connection.
pub(super) fn open_reading(path: &Path, busy: Duration) -> Result<Connection, SqlStoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    set_up(&connection, busy)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    Ok(connection)
}

fn set_up(connection: &Connection, busy: Duration) -> Result<(), SqlStoreError> {
    connection.busy_timeout(busy).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false).map_err(failed)
}

/// Sets what the next commit syncs. `ends`: whether it ends sessions.
pub(super) fn set_synchronous(
    connection: &Connection,
    durability: Durability,
    ends: bool,
) -> Result<(), SqlStoreError> {
    let level = match (durability, ends) {
        (Durability::None, _) => "OFF",
        (Durability::Data, false) => "NORMAL",
        (Durability::Data, true) | (Durability::Full, _) => "FULL",
    };
    connection.pragma_update(None, "synchronous", level).map_err(failed)
}

/// Creates the file, and its directory if that is missing, with permissions for this user only. SQLite gives its `-wal`
/// and `-shm` files the same permissions.
fn prepare(path: &Path, create: bool) -> io::Result<()> {
    if let Ok(metadata) = fs::metadata(path) {
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        warn_if_open(path, &metadata);
        return Ok(());
    }
    if !create {
        let advice = "it is not there; create it with the builder's `create`, or `?create=yes`";
        return Err(io::Error::new(io::ErrorKind::NotFound, advice));
    }
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn warn_if_open(path: &Path, metadata: &fs::Metadata) {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o077 != 0 {
            let (path, mode) = (path.display(), mode & 0o777);
            tracing::warn!(target: TARGET, %path, mode = format!("{mode:o}"), "other users have rights to the database file");
        }
    }
    #[cfg(not(unix))]
    let _ = (path, metadata, TARGET);
}

fn refused(path: &Path, error: io::Error) -> SqlStoreError {
    let message = format!("can't open the database {}: {error}", path.display());
    SqlStoreError::new(Meaning::NotSent(StoreErrorKind::Unavailable), message).because(error)
}
