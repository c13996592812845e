//! Where the subjects keep their sessions.

use tempfile::TempDir;

use crate::{
    server::{Product, Server},
    subjects::Kind,
};

/// A PostgreSQL server, and a folder for SQLite files.
pub(crate) struct Place {
    postgres: Server,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(no_sync: bool) -> Self {
        // By default, the tests' server doesn't sync.
        let durable: &[&str] = &["-c", "fsync=on", "-c", "full_page_writes=on", "-c", "shared_buffers=256MB"];
        let postgres = Server::start(Product::Postgres, if no_sync { &[] } else { durable });
        Self { postgres, folder: tempfile::tempdir().unwrap() }
    }

    /// The place that a subject opens: a URL, or the path of a file.
    pub(crate) fn of(&self, kind: Kind) -> String {
        if kind.is_sqlite() {
            self.folder.path().join(format!("{kind:?}.db")).display().to_string()
        } else {
            self.postgres.url(&self.postgres.database())
        }
    }
}
